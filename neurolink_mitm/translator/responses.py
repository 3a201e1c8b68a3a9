"""Reads answers in the form of OpenAI's Responses API.

`litellm.aresponses` returns an iterator around the response of its HTTP client. The response is read here: the iterator
knows no error event of OpenAI's form (it makes a 500 without a word of each), and rewrites ids and usage.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.response.sse import SseEvent, SseReader

Json = dict[str, Any]


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
