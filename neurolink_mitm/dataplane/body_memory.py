"""The memory that the bodies of all requests in flight may take together."""

from __future__ import annotations

from collections.abc import Callable, Iterable

LIMIT = 256 * 1024 * 1024
"""Bytes of all bodies together."""
RESERVE = 64 * 1024 * 1024
"""Bytes beyond `LIMIT` for bodies of up to `SMALL` bytes, which are served while large ones fill the limit."""
SMALL = 1024 * 1024


class BodyMemory:
    """Bounds the bodies in memory.

    Bytes are added up as they come, and counted anew only when the sum reaches the limit: so a body that is gone need
    not be reported.
    """

    def __init__(self, held: Callable[[], Iterable[int]] = tuple) -> None:
        """`held` returns the bytes of each request in flight."""
        self._held = held
        self._sum = 0

    def take(self, more: int, size: int) -> bool:
        """Take `more` bytes of a body that now has `size` bytes. Return whether they fit."""
        self._sum += more
        return self._is_within(_limit(size))

    def has(self, size: int) -> bool:
        """Tell whether a body of `size` bytes would fit."""
        return self._is_within(_limit(size) - size)

    def _is_within(self, limit: int) -> bool:
        if self._sum > limit:
            self._sum = sum(self._held())
        return self._sum <= limit


def _limit(size: int) -> int:
    return LIMIT + RESERVE if size <= SMALL else LIMIT
