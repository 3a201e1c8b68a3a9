from __future__ import annotations

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

    def __init__(self, items: Sequence[Any], *, later: bool = False) -> None:
        self.closed: list[str] = []
        self._items = items
        self.completion_stream: Any = None if later else _Source(self)

    async def fetch_stream(self) -> Any:
        self.completion_stream = _Source(self)
        return self.completion_stream

    async def aclose(self) -> None:
        self.closed.append("wrapper")

    def items(self) -> Sequence[Any]:
        return self._items


class _Source:
    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[Any]:
        for item in self._stream.items():
            if isinstance(item, Exception):
                raise item
            yield item

    async def aclose(self) -> None:
        self._stream.closed.append("source")


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
