from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from neurolink_mitm.translator.chunks import chunks

Json = dict[str, Any]
SAID: Json = {"choices": [{"index": 0, "delta": {"content": "hi"}}]}


class Chunk:
    def __init__(self, made: Json) -> None:
        self._made = made

    def model_dump(self, *, exclude_none: bool) -> Json:
        assert exclude_none
        return self._made


class Stream:
    """As LiteLLM's wrapper: around a stream, or around one that it will ask for."""

    def __init__(
        self, items: Sequence[Any], *, later: bool = False, response: _Response | None = None
    ) -> None:
        self.closed: list[str] = []
        self._items = items
        self.response = response
        self.completion_stream: Any = None if later else _Source(self)

    async def fetch_stream(self) -> Any:
        self.completion_stream = _Source(self)
        return self.completion_stream

    async def aclose(self) -> None:
        self.closed.append("wrapper")

    def items(self) -> Sequence[Any]:
        return self._items


class _Source:
    """As LiteLLM's readers: some have the response whose bytes they read."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.response = stream.response

    async def __aiter__(self) -> AsyncIterator[Any]:
        for item in self._stream.items():
            if isinstance(item, Exception):
                raise item
            yield item

    async def aclose(self) -> None:
        self._stream.closed.append("source")


class _Response:
    def __init__(self, *pieces: Any, content_type: str = "text/event-stream") -> None:
        self.headers = {"content-type": content_type}
        self.closed = False
        self._pieces = pieces

    async def aclose(self) -> None:
        self.closed = True

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            if piece is None:
                await asyncio.Event().wait()
            yield piece


async def read(*items: Any, later: bool = False) -> list[Json]:
    return [chunk async for chunk in chunks(Stream(items, later=later))]


@pytest.mark.parametrize("later", [False, True], ids=["there", "asked for later"])
async def test_chunks_of_openais_form_pass(later: bool) -> None:
    assert await read(Chunk(SAID), SAID, later=later) == [SAID, SAID]


async def test_what_is_none_is_skipped() -> None:
    assert await read(None, Chunk(SAID), None) == [SAID]


async def test_an_unknown_form_is_an_error() -> None:
    with pytest.raises(TypeError, match="bytes"):
        await read(b"data: {}")


@pytest.mark.parametrize("end", [(), (OSError("boom"),)], ids=["end", "failure"])
async def test_both_are_closed(end: tuple[Exception, ...]) -> None:
    stream = Stream([SAID, *end])
    try:
        async for _ in chunks(stream):
            pass
    except OSError:
        pass
    assert stream.closed == ["source", "wrapper"]


async def test_both_are_closed_when_the_reader_leaves() -> None:
    stream = Stream([SAID, SAID])
    reading = chunks(stream)
    await anext(reading)
    await reading.aclose()
    assert stream.closed == ["source", "wrapper"]


async def test_a_stream_that_blocks_is_read_by_the_wrapper() -> None:
    class Blocking(Stream):
        async def __aiter__(self) -> AsyncIterator[Any]:
            yield Chunk(SAID)

    stream = Blocking([])
    stream.completion_stream = iter([SAID])
    assert [chunk async for chunk in chunks(stream)] == [SAID]


STOP: Json = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
OVER = b"data: [DONE]\n\n"


def event(chunk: Json) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


async def read_bytes(*pieces: Any, **more: Any) -> list[Json]:
    response = _Response(*pieces, **more)
    stream = Stream([Chunk({"choices": ["what LiteLLM reads"]})], response=response)
    found = [chunk async for chunk in chunks(stream, after_the_end=0.01)]
    assert (response.closed, stream.closed) == (True, ["source", "wrapper"])
    return found


async def test_the_bytes_of_a_response_are_read_where_it_can_be_had() -> None:
    assert await read_bytes(event(SAID), event(STOP), OVER) == [SAID, STOP, {"done": True}]
    line = json.dumps(SAID).encode()
    assert await read_bytes(line, content_type="application/x-ndjson") == [SAID]


async def test_nothing_is_read_behind_the_end() -> None:
    """Some servers leave the connection open."""
    assert (await read_bytes(event(SAID), OVER, None))[-1] == {"done": True}
    assert (await read_bytes(event(SAID), event(STOP), None))[-1] == STOP


async def test_a_failure_behind_the_end_is_none() -> None:
    assert (await read_bytes(event(SAID), event(STOP), OSError("boom")))[-1] == STOP
    with pytest.raises(OSError, match="boom"):
        await read_bytes(event(SAID), OSError("boom"))


async def test_what_is_of_no_known_form_is_left_to_litellm() -> None:
    class Reader(_Source):
        def chunk_parser(self, piece: Json) -> Chunk:
            return Chunk({"choices": [piece["own"]]})

    stream = Stream([], response=_Response(event({"own": 1}), event({"ping": 1})))
    stream.completion_stream = Reader(stream)
    assert [chunk async for chunk in chunks(stream)] == [{"choices": [1]}, {}]
