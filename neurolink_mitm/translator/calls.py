"""Tool calls one after the other, however the provider streams them.

Gemini, Ollama and vLLM send several calls in one chunk, and others send their arguments in turns. LiteLLM writes all
of that into one block, whose input then is no JSON. Here the first call passes as it comes, and those beside it follow
whole, each in a chunk of its own.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import Any

Chunk = Any
"""LiteLLM's `ModelResponseStream`, which has the form of OpenAI's."""
_WORDS = ("content", "reasoning_content", "thinking_blocks")


async def one_by_one(chunks: AsyncIterable[Chunk]) -> AsyncIterator[Chunk]:
    beside = _Beside()
    async for chunk in chunks:
        for each in beside.sort(chunk):
            yield each
    for each in beside.rest():
        yield each


class _Beside:
    """Keeps the calls that come beside the first one."""

    def __init__(self) -> None:
        self._first: Any = None
        self._kept: list[Chunk] = []

    def sort(self, chunk: Chunk) -> Iterator[Chunk]:
        delta = _delta(chunk)
        calls = getattr(delta, "tool_calls", None) or []
        ends = delta is not None and chunk.choices[0].finish_reason is not None
        if not calls and not (ends and self._kept):
            yield chunk
            return
        if calls and _says(delta):
            yield _without(chunk, "tool_calls", end=False)
        for call in calls:
            yield from self._see(call, chunk)
        if ends:
            yield from self.rest()
            yield _without(chunk, "tool_calls", *(_WORDS if calls else ()))

    def rest(self) -> Iterator[Chunk]:
        yield from self._kept
        self._kept = []

    def _see(self, call: Any, chunk: Chunk) -> Iterator[Chunk]:
        if self._first is None:
            self._first = call
        if _same(call, self._first):
            yield _carrying(chunk, call)
            return
        for kept in self._kept:
            known = kept.choices[0].delta.tool_calls[0]
            if _same(call, known):
                more = call.function.arguments or ""
                known.function.arguments = (known.function.arguments or "") + more
                return
        self._kept.append(_carrying(chunk, copy.deepcopy(call)))


def _delta(chunk: Chunk) -> Any:
    choices = getattr(chunk, "choices", None) or []
    return choices[0].delta if len(choices) == 1 else None


def _says(delta: Any) -> bool:
    return any(getattr(delta, name, None) for name in _WORDS)


def _same(call: Any, known: Any) -> bool:
    """A further piece of it: the same index, and no other id."""
    return call.index == known.index and call.id in (None, "", known.id)


def _carrying(chunk: Chunk, call: Any) -> Chunk:
    """A chunk with this call and nothing else."""
    made = _without(chunk, "tool_calls", *_WORDS, end=False)
    made.choices[0].delta.tool_calls = [call]
    return made


def _without(chunk: Chunk, *names: str, end: bool = True) -> Chunk:
    """A copy that lacks these members of its delta; with `end` false, also the reason for its end and the usage."""
    made = copy.deepcopy(chunk)
    for name in names:
        if getattr(made.choices[0].delta, name, None):
            setattr(made.choices[0].delta, name, None)
    if not end:
        made.choices[0].finish_reason = None
        if getattr(made, "usage", None):
            made.usage = None
    return made
