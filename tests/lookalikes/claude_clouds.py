"""Claude on Azure AI: Anthropic's Messages at `/anthropic/v1/messages`.

https://learn.microsoft.com/en-us/azure/ai-foundry/foundry-models/how-to/use-foundry-models-claude
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request

from tests.lookalikes.anthropic_answers import asked_of, message_events, whole_message
from tests.lookalikes.anthropic_form import check_messages
from tests.lookalikes.script import Asked, Json, Reply
from tests.lookalikes.server import Lookalike, Refused, sse

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class AzureClaude(Lookalike):
    """Takes `x-api-key`, `api-key`, or a bearer."""

    paths = ("/anthropic/v1/messages",)

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)

    def check(self, request: Request, body: Json) -> None:
        if not any(request.headers.get(n) for n in ("x-api-key", "api-key", "authorization")):
            raise Refused(401, "Access denied due to missing subscription key.")
        if not request.headers.get("anthropic-version"):
            raise Refused(400, "anthropic-version: header is required")
        check_messages(body, frozenset({"model"}))

    def asked(self, body: Json) -> Asked:
        return asked_of(body)

    def streams(self, request: Request, body: Json) -> bool:
        return bool(body.get("stream"))

    def events(self, reply: Reply, body: Json) -> Iterator[bytes]:
        for event in message_events(reply, next(self._numbers), str(body.get("model"))):
            yield sse(event, event["type"])

    def whole(self, reply: Reply, body: Json) -> Json:
        return whole_message(reply, next(self._numbers), str(body.get("model")))

    def error(self, status: int, message: str, **detail: Any) -> Json:
        kind = TYPES.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}}

    def late_error(self, message: str) -> bytes:
        error = {"type": "overloaded_error", "message": message}
        return sse({"type": "error", "error": error}, "error")
