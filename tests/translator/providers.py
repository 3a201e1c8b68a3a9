"""The providers that tests ask through the translator: each a look-alike, and what it takes to reach it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from neurolink_mitm.core.providers.translator import Access
from tests.anthropic_stream import Message
from tests.lookalikes.gemini import Gemini
from tests.lookalikes.ollama import Ollama
from tests.lookalikes.openai_chat import OpenAIChat
from tests.lookalikes.openai_responses import OpenAIResponses
from tests.lookalikes.script import Reply
from tests.lookalikes.server import Lookalike, Received
from tests.translator.running import KEY, Json, Running, told

USER: Json = {"role": "user", "content": "hi"}
READ: Json = {
    "name": "Read",
    "description": "Reads a file.",
    "input_schema": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"file_path": {"type": "string"}, "limit": {"type": ["integer", "null"]}},
        "required": ["file_path"],
        "additionalProperties": False,
    },
}


@dataclass(frozen=True)
class Kind:
    """`name` in the configuration, and a title for people."""

    title: str
    name: str
    model: str
    made: type[Lookalike]
    base: str
    api: str | None = None

    def access(self, url: str) -> Access:
        return Access(KEY, url + self.base, self.api)


KINDS = {
    "chat": Kind("OpenAI, chat", "openai", "gpt-5", OpenAIChat, "/v1", "chat"),
    "responses": Kind("OpenAI, responses", "openai", "gpt-5", OpenAIResponses, "/v1", "responses"),
    "gemini": Kind("Gemini", "google-ai", "gemini-2.5-flash", Gemini, "/v1beta"),
    "ollama": Kind("Ollama", "ollama", "qwen3", Ollama, ""),
}


@dataclass
class Provider:
    kind: Kind
    lookalike: Lookalike
    translator: Running

    def ask(self, *, messages: Any = (USER,), **fields: Any) -> httpx.Response:
        asked = {"model": "claude-x", "max_tokens": 4000, "messages": list(messages), **fields}
        return self.translator.ask(self.kind.name, self.kind.model, asked)

    def answer(self, reply: Reply, **fields: Any) -> httpx.Response:
        self.lookalike.script.add(reply)
        return self.ask(**fields)

    def told(self, reply: Reply | None = None, **fields: Any) -> Message:
        """The message that is answered, judged."""
        return told(self.answer(reply, **fields) if reply else self.ask(**fields))

    @property
    def asked(self) -> list[Received]:
        """Its requests, but for those about what the model can do."""
        return [each for each in self.lookalike.requests if each.path != "/api/show"]

    @property
    def received(self) -> str:
        """What it was asked last, as text."""
        return json.dumps(self.asked[-1].body, ensure_ascii=False)


@contextmanager
def serving(kind: Kind, translator: Running) -> Iterator[Provider]:
    with kind.made() as lookalike:
        translator.configure(**{kind.name: kind.access(lookalike.url)})
        yield Provider(kind, lookalike, translator)
        lookalike.assert_no_anthropic_credentials()
