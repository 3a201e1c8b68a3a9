"""A server that speaks OpenAI's Chat Completions in a dialect."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request

from tests.lookalikes import chat_answers
from tests.lookalikes.chat_checks import check_body
from tests.lookalikes.chat_dialect import Dialect
from tests.lookalikes.openai_form import bearer
from tests.lookalikes.script import Asked, Json, Reply
from tests.lookalikes.server import Lookalike, sse


class ChatServer(Lookalike):
    """`dialect` says what it takes, and how it answers."""

    dialect = Dialect()
    paths = ("/v1/chat/completions",)

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)

    def key(self, request: Request) -> str:
        """Return the key that came. Raises Refused."""
        return bearer(request)

    def check(self, request: Request, body: Json) -> None:
        self.key(request)
        check_body(self.dialect, body)

    def asked(self, body: Json) -> Asked:
        functions = [tool["function"] for tool in body.get("tools") or ()]
        tools = [(f["name"], f.get("parameters") or {}) for f in functions]
        if body.get("tool_choice") == "none":
            tools = []
        last = body["messages"][-1]
        words = text_of(last.get("content"))
        return Asked(tools, words, words if last["role"] == "tool" else None)

    def streams(self, request: Request, body: Json) -> bool:
        return bool(body.get("stream"))

    def events(self, reply: Reply, body: Json) -> Iterator[bytes]:
        return chat_answers.streamed(self.dialect.habits, reply, body, next(self._numbers))

    def whole(self, reply: Reply, body: Json) -> Json:
        return chat_answers.whole(self.dialect.habits, reply, body, next(self._numbers))

    def error(self, status: int, message: str, **detail: Any) -> Json:
        return self.dialect.error(status, message, **detail)

    def late_error(self, message: str) -> bytes:
        return sse(self.error(500, message))


def text_of(content: object) -> str:
    """Return the text of a message's content."""
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return str(content or "")


def is_blank(content: object) -> bool:
    """Tell whether a content has neither words nor anything else."""
    if isinstance(content, list):
        return all(part.get("type") == "text" and is_blank(part.get("text")) for part in content)
    return not str(content or "").strip()


def calls_tools(message: Json) -> bool:
    """Tell whether a message calls tools."""
    return bool(message.get("tool_calls"))
