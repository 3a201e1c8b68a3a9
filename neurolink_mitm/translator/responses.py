"""Asks in the form of OpenAI's Responses API.

`litellm.aresponses` returns an iterator around the response of its HTTP client. The response is read here: the iterator
knows no error event of OpenAI's form (it makes a 500 without a word of each), and rewrites ids and usage.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.providers.responses_request import lasting, without_refused
from neurolink_mitm.core.response.sse import SseEvent, SseReader

Json = dict[str, Any]

MOST_TRIES = 4
"""Requests for one: each is without something that the one before was refused for."""
_MENDABLE = (400, 404)
_MOST_TEXT = 4000
"""Characters of an error that are kept."""
_MOST_KNOWN = 256
"""Models of which it is remembered what they refused."""


class Asking:
    """Calls `aresponses`, and again without what the organisation or the model may not have."""

    def __init__(self, litellm: Any) -> None:
        self._litellm = litellm
        self._known: dict[tuple[object, ...], list[str]] = {}
        """By access and model: the errors of what it refuses always."""

    async def __call__(self, **arguments: Any) -> Any:
        known = self._of(arguments)
        for text in known:
            arguments = without_refused(arguments, text) or arguments
        for left in reversed(range(MOST_TRIES)):
            try:
                return await self._litellm.aresponses(**arguments)
            except Exception as e:
                text = str(e)
                less = without_refused(arguments, text)
                if not left or less is None or getattr(e, "status_code", None) not in _MENDABLE:
                    raise
                arguments = less
                if lasting(text[:_MOST_TEXT]):
                    known.append(text[:_MOST_TEXT])
        raise AssertionError("unreachable")

    def _of(self, arguments: Json) -> list[str]:
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        key = tuple(hash(arguments.get(name)) for name in ("model", "api_base", "api_key"))
        return self._known.setdefault(key, [])


async def pieces(answer: Any) -> AsyncGenerator[Json]:
    """Yield the events of a streamed answer; an answer that is not streamed is its own last event."""
    response = answer.response
    try:
        if "text/event-stream" in response.headers.get("content-type", ""):
            async for event in _events(response):
                yield _decoded(event.data)
        else:  # of a model that can't stream, or a server that doesn't
            whole = _decoded(await response.aread())
            goes_on = whole.get("status") in ("in_progress", "queued")
            kind = "response.failed" if goes_on else "response.completed"
            yield {"type": kind, "response": whole}
    finally:
        await response.aclose()


async def _events(response: Any) -> AsyncIterator[SseEvent]:
    reader = SseReader()
    async for data in response.aiter_bytes():
        for event in reader.feed(data):
            yield event
    for event in reader.finish():
        yield event


def _decoded(data: bytes) -> Json:
    try:
        return msgspec.json.decode(data, type=Json)
    except UNREADABLE:
        return {}
