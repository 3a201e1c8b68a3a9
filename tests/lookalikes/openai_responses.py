"""OpenAI's Responses.

Source: https://platform.openai.com/docs/api-reference/responses and responses-streaming; the types
of the official SDK; bug reports of those who use it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request

from tests.lookalikes import responses_answers as answers
from tests.lookalikes.openai_form import bearer, error_body
from tests.lookalikes.responses_checks import check_fields, check_tools
from tests.lookalikes.responses_items import check_items
from tests.lookalikes.script import Asked, Json, Reply
from tests.lookalikes.server import Lookalike, sse


class OpenAIResponses(Lookalike):
    """`most_tokens`: who asks for more is refused. `verified`: the organisation may see summaries."""

    paths = ("/v1/responses",)

    def __init__(self, *, most_tokens: int | None = None, verified: bool = True) -> None:
        super().__init__()
        self._most_tokens = most_tokens
        self._verified = verified
        self._numbers = itertools.count(1)
        self._sealed: set[str] = set()
        """The encrypted reasoning that was given out."""

    def check(self, request: Request, body: Json) -> None:
        self.key(request)
        check_fields(body, self._most_tokens, verified=self._verified)
        check_tools(body)
        check_items(_items(body), self._sealed, stored=body.get("store") is not False)

    def key(self, request: Request) -> str:
        """Return the key. Raises Refused."""
        return bearer(request)

    def forget(self) -> None:
        """Read no reasoning any more that was given out, as after a change of the key."""
        self._sealed.clear()

    def asked(self, body: Json) -> Asked:
        tools = [
            (t["name"], t.get("parameters") or {})
            for t in body.get("tools") or ()
            if t.get("type") == "function"
        ]
        if body.get("tool_choice") == "none":
            tools = []
        last = _items(body)[-1]
        if last.get("type") == "function_call_output":
            said = _text(last.get("output"))
            return Asked(tools, said, said)
        return Asked(tools, _text(last.get("content")))

    def streams(self, request: Request, body: Json) -> bool:
        return bool(body.get("stream"))

    def events(self, reply: Reply, body: Json) -> Iterator[bytes]:
        counter = itertools.count()
        for event in answers.story(reply, body, self._next()):
            yield sse({**event, "sequence_number": next(counter)}, event["type"])

    def whole(self, reply: Reply, body: Json) -> Json:
        number = self._next()
        return answers.ended(reply, body, number, answers.output(reply, body, number))

    def _next(self) -> int:
        number = next(self._numbers)
        self._sealed.add(answers.sealed(number))
        return number

    def error(self, status: int, message: str, **detail: Any) -> Json:
        return error_body(status, message, **detail)

    def late_error(self, message: str) -> bytes:
        error = {"code": "server_error", "message": message, "param": None}
        return sse({"type": "error", **error, "sequence_number": 99}, "error")


def _items(body: Json) -> list[Json]:
    given = body.get("input")
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return list(given or ())


def _text(content: object) -> str:
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return str(content or "")
