"""Failures that OpenAI's Responses API reports within a response: the status that each would have had as a response."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from neurolink_mitm.core.providers.answer import object_of

Json = dict[str, Any]

STATUSES = {
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "server_is_overloaded": 503,
    "slow_down": 503,
    "vector_store_timeout": 504,
    "server_error": 500,
    "model_not_found": 404,
}
"""HTTP statuses of the error codes that are no fault of the request."""
_OURS = frozenset({"server_error", "api_error", "timeout", "internal_error", "unknown_error"})
"""Types and codes of errors that say nothing of the request."""
_AGAIN = re.compile(r"try again in (\d{1,5}(?:\.\d{1,6})?) ?(ms|s)\b")


class FailedResponseError(Exception):
    """The response failed, before its first word or behind it. The text is JSON, with the provider's own in it.

    `headers` has `retry-after` where the provider says when to come again.
    """

    def __init__(self, status_code: int, text: str, headers: Mapping[str, str]) -> None:
        super().__init__(text)
        self.status_code = status_code
        self.headers = headers


def failure_of(event: Json) -> FailedResponseError:
    """Return the error of `response.failed` or `error`, whose members some servers nest."""
    response = object_of(event.get("response"))
    error: Json = object_of(response.get("error")) or object_of(event.get("error")) or event
    told = {"message": _text(error.get("message")), "code": _text(error.get("code"))}
    return FailedResponseError(
        _status(event, error), msgspec.json.encode(told).decode(), _retry_after(error)
    )


def _status(event: Json, error: Json) -> int:
    told = event.get("status")
    if type(told) is int and 400 <= told <= 599:
        return told
    code, kind = _text(error.get("code")), _text(error.get("type"))
    if code in STATUSES:
        return STATUSES[code]
    faultless = not code or code in _OURS or kind in _OURS
    if faultless and kind != "invalid_request_error":
        return 429 if kind.startswith("rate_limit") else 500
    return 400


def _retry_after(error: Json) -> Mapping[str, str]:
    found = _AGAIN.search(_text(error.get("message"))[:1000])
    if not found:
        return {}
    seconds = float(found[1]) / (1000 if found[2] == "ms" else 1)
    return {"retry-after": str(max(1, math.ceil(seconds)))}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
