"""A translator in this process, whose engine plays scripts: for all that does not depend on LiteLLM."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.applications import Starlette

from neurolink_mitm.core.openai.embeddings import EmbeddingsRequest, answer_body, vector_items
from neurolink_mitm.core.providers.adapt import Adapted
from neurolink_mitm.core.providers.errors import ProviderError, provider_error
from neurolink_mitm.core.providers.translator import Access, Setup
from neurolink_mitm.ports import Endpoint
from neurolink_mitm.translator.app import make_app
from neurolink_mitm.translator.engine import Question
from tests.lookalikes.script import Asked, Json, Reply, Script, pieces
from tests.lookalikes.server import Served

SECRET = "test-secret"


@dataclass
class Scripted:
    """In a provider's place: what it answers, and what it was asked."""

    url: str = "http://127.0.0.1:9"
    script: Script = field(default_factory=Script)
    requests: list[Json] = field(default_factory=list)

    def assert_no_anthropic_credentials(self) -> None:
        assert "sk-ant" not in str(self.requests)

    def next(self, body: Json) -> Reply:
        self.requests.append(body)
        return self.script.next(Asked(text=body["messages"][-1]["content"]))


class Engine:
    def __init__(self) -> None:
        self.providers: dict[str, Scripted] = {}

    async def adapted(self, question: Question, *, documents: bool = True) -> Adapted:
        return Adapted(question.body, {})

    async def ask(self, question: Question, request: Json) -> Json:
        reply = self._reply(question)
        told = {"content": [{"type": "text", "text": reply.text}], "stop_reason": "end_turn"}
        return told | {"usage": usage(reply)}

    async def stream(self, question: Question, request: Json) -> AsyncIterator[Json]:
        reply = self._reply(question)
        yield {"type": "message_start", "message": {"usage": usage(reply)}}
        yield {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        }
        for number, piece in enumerate(pieces(reply.text)):
            if number == reply.cut_after:
                raise ProviderError(502, "cut off")
            said = {"type": "text_delta", "text": piece}
            yield {"type": "content_block_delta", "index": 0, "delta": said}
        yield {"type": "content_block_stop", "index": 0}
        yield {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage(reply)}
        yield {"type": "message_stop"}

    def count(self, question: Question) -> int:
        return 42

    async def embed(self, question: Question, request: EmbeddingsRequest) -> bytes:
        first = {"role": "user", "content": str(request.inputs[0])}
        reply = self._reply(
            question, {"model": question.model, "messages": [first], "asked": request}
        )
        vectors = [made_vector(each, request.dimensions) for each in request.inputs]
        items = msgspec.json.encode(vector_items(vectors, 0, request.encoding))
        return answer_body(question.model, reply.tokens[0], [items[1:-1]])

    def _reply(self, question: Question, body: Json | None = None) -> Reply:
        reply = self.providers[question.provider].next(body or question.body)
        if reply.status != 200:
            after = reply.headers.get("retry-after")
            raise provider_error(
                question.entry, reply.status, f'{{"message": "{reply.message}"}}', after
            )
        return reply


def made_vector(of: object, dimensions: int | None = None) -> list[float]:
    """A vector that is the same for the same input, of numbers that 32 bits can hold."""
    return [(len(str(of)) + n) / 64 for n in range(dimensions or 8)]


def usage(reply: Reply) -> Json:
    return dict(zip(("input_tokens", "output_tokens"), reply.tokens, strict=True))


class ScriptedTranslator(Served):
    """A port of the proxy's. Starts and stops with `with`."""

    def __init__(self) -> None:
        self.engine = Engine()
        self._setup = Setup(SECRET)

    def app(self) -> Starlette:
        return make_app(self.engine, lambda: self._setup)

    def made(self, kind: Any) -> Scripted:
        """A provider of this kind."""
        return self.engine.providers.setdefault(kind.name, Scripted())

    def configure(self, **providers: Access) -> None:
        self._setup = Setup(SECRET, providers)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.port, SECRET)

    async def wait(self, limit: float) -> Endpoint:
        return self.endpoint

    async def settle(self) -> None: ...

    def report(self) -> Mapping[str, object]:
        return {"state": "ready"}
