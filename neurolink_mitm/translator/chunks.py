"""Yields what a provider streams as soon as LiteLLM has read it, as plain dicts.

`litellm.acompletion` returns a `CustomStreamWrapper` around the provider's own stream. What the wrapper adds is not
wanted: it invents a finish reason where a stream was cut, drops refusals and repeated calls, and counts and logs at the
end of each stream. Its documented `completion_stream` is read where that has chunks of OpenAI's form.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

Json = dict[str, Any]


async def chunks(wrapper: Any) -> AsyncGenerator[Json]:
    """Yield the chunks of a stream that `litellm.acompletion` returned, in the form of OpenAI's chat API."""
    source = wrapper.completion_stream
    if source is None:  # asked only now
        source = await wrapper.fetch_stream()
    if not hasattr(source, "__aiter__"):  # one that blocks: the wrapper reads it in a thread
        source = wrapper
    try:
        async for chunk in source:
            if (plain := _plain(chunk)) is not None:
                yield plain
    finally:
        for each in (source, wrapper):
            if close := getattr(each, "aclose", None) or getattr(each, "close", None):
                await close()


def _plain(chunk: Any) -> Json | None:
    """Return a chunk as a dict; None for one without content."""
    if chunk is None or isinstance(chunk, dict):
        return chunk
    if dump := getattr(chunk, "model_dump", None):
        made: Json = dump(exclude_none=True)
        return made
    raise TypeError(f"a chunk of an unknown form: {type(chunk).__name__}")
