"""Separates parallel tool calls of a provider's stream.

Gemini, Ollama and vLLM send several calls in one chunk; others send the arguments of several calls in turns. LiteLLM
would write all of that into one block, whose input is then no JSON. Here the first call passes as it comes; the others
follow whole, each in a chunk of its own.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import Any

Chunk = Any
"""LiteLLM's `ModelResponseStream`, which has the form of OpenAI's."""
_TEXT = ("content", "reasoning_content", "thinking_blocks")


async def one_by_one(chunks: AsyncIterable[Chunk]) -> AsyncIterator[Chunk]:
    """Yield the chunks with at most one tool call each, one call after the other."""
    calls = _ParallelCalls()
    async for chunk in chunks:
        for each in calls.separate(chunk):
            yield each
    for each in calls.rest():
        yield each


class _ParallelCalls:
    """Holds back all calls but the first one until the end."""

    def __init__(self) -> None:
        self._first: Any = None
        self._held: list[Chunk] = []

    def separate(self, chunk: Chunk) -> Iterator[Chunk]:
        delta = _delta(chunk)
        calls = getattr(delta, "tool_calls", None) or []
        ends = delta is not None and chunk.choices[0].finish_reason is not None
        if not calls and not (ends and self._held):
            yield chunk
            return
        if calls and _has_text(delta):
            yield _without(chunk, "tool_calls", end=False)
        for call in calls:
            yield from self._add(call, chunk)
        if ends:
            yield from self.rest()
            yield _without(chunk, "tool_calls", *(_TEXT if calls else ()))

    def rest(self) -> Iterator[Chunk]:
        yield from self._held
        self._held = []

    def _add(self, call: Any, chunk: Chunk) -> Iterator[Chunk]:
        if self._first is None:
            self._first = call
        if _same(call, self._first):
            yield _carrying(chunk, call)
            return
        for held in self._held:
            other = held.choices[0].delta.tool_calls[0]
            if _same(call, other):
                more = call.function.arguments or ""
                other.function.arguments = (other.function.arguments or "") + more
                return
        self._held.append(_carrying(chunk, copy.deepcopy(call)))


def _delta(chunk: Chunk) -> Any:
    choices = getattr(chunk, "choices", None) or []
    return choices[0].delta if len(choices) == 1 else None


def _has_text(delta: Any) -> bool:
    return any(getattr(delta, name, None) for name in _TEXT)


def _same(piece: Any, call: Any) -> bool:
    """Return whether `piece` continues `call`: the same index, and no other id."""
    return piece.index == call.index and piece.id in (None, "", call.id)


def _carrying(chunk: Chunk, call: Any) -> Chunk:
    """Return a copy of `chunk` with `call` and nothing else."""
    made = _without(chunk, "tool_calls", *_TEXT, end=False)
    made.choices[0].delta.tool_calls = [call]
    return made


def _without(chunk: Chunk, *names: str, end: bool = True) -> Chunk:
    """Return a copy of `chunk` without the members `names` of its delta.

    With `end` false, its finish reason and usage are removed, too.
    """
    made = copy.deepcopy(chunk)
    for name in names:
        if getattr(made.choices[0].delta, name, None):
            setattr(made.choices[0].delta, name, None)
    if not end:
        made.choices[0].finish_reason = None
        if getattr(made, "usage", None):
            made.usage = None
    return made
