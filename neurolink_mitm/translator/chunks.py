"""Yields what a provider streams as chunks of OpenAI's chat form, as plain dicts.

`litellm.acompletion` returns a `CustomStreamWrapper` around the provider's own stream. What the wrapper adds is not
wanted: it invents a finish reason where a stream was cut, drops refusals and repeated calls, and counts and logs at the
end of each stream. Nor is what LiteLLM's readers make of most streams (`core.providers.chat.wire`): where the response
can be had, its bytes are read. Only Claude and others on clouds of their own form are read by LiteLLM.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from neurolink_mitm.core.providers.chat.ends import meanings
from neurolink_mitm.core.providers.chat.wire import WireReader, is_chunk

logger = logging.getLogger("neurolink.translator")

Json = dict[str, Any]
AFTER_THE_END = 5.0
"""Seconds in which counts of tokens may follow the finish reason. Some servers then leave the connection open."""


async def chunks(wrapper: Any, after_the_end: float = AFTER_THE_END) -> AsyncGenerator[Json]:
    """Yield the chunks of a stream that `litellm.acompletion` returned; `done` is true in one that must be the last."""
    source = wrapper.completion_stream
    if source is None:  # asked only now
        source = await wrapper.fetch_stream()
    if not hasattr(source, "__aiter__"):  # one that blocks: the wrapper reads it in a thread
        source = wrapper
    # that of the OpenAI SDK and of LiteLLM's reader for Gemini; that of its other readers
    response = getattr(source, "response", None) or getattr(source, "http_response", None)
    pieces = _parsed(source) if response is None else _read(source, response)
    try:
        async for chunk in _to_the_end(pieces, after_the_end):
            yield chunk
    finally:
        await pieces.aclose()
        for each in (response, source, wrapper):  # not every reader closes its response
            if close := getattr(each, "aclose", None) or getattr(each, "close", None):
                await close()


async def _to_the_end(pieces: AsyncIterator[Json], after_the_end: float) -> AsyncIterator[Json]:
    """Yield the chunks. What fails once the finish reason has come, fails too late to matter."""
    ended = False
    while True:
        try:
            async with asyncio.timeout(after_the_end if ended else None):
                chunk = await anext(pieces, None)
        except Exception as e:
            if not ended:
                raise
            logger.info("a stream failed behind its end: %s", type(e).__name__)
            return
        if chunk is None:
            return
        yield chunk
        if chunk.get("done") is True:
            return
        ended = ended or any(meanings(chunk))


async def _read(source: Any, response: Any) -> AsyncGenerator[Json]:
    """Yield the chunks in the bytes of a response. What is of no known form is left to LiteLLM's reader of it."""
    reader = WireReader()
    parse = getattr(source, "chunk_parser", None)
    async for data in response.aiter_bytes():
        for chunk in reader.feed(data):
            yield chunk if is_chunk(chunk) or not parse else _by_litellm(parse, chunk)
    for chunk in reader.end():
        yield chunk


def _by_litellm(parse: Any, piece: Json) -> Json:
    try:
        return _plain(parse(piece)) or {}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}  # a ping


async def _parsed(source: Any) -> AsyncGenerator[Json]:
    async for chunk in source:
        if (plain := _plain(chunk)) is not None:
            yield plain


def _plain(chunk: Any) -> Json | None:
    """Return a chunk as a dict; None for one without content."""
    if chunk is None or isinstance(chunk, dict):
        return chunk
    if dump := getattr(chunk, "model_dump", None):
        made: Json = dump(exclude_none=True)
        return made
    raise TypeError(f"a chunk of an unknown form: {type(chunk).__name__}")
