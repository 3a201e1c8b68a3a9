from __future__ import annotations

from collections.abc import Callable, Iterable

ROOM = 256 * 1024 * 1024
"""Bytes of the bodies of all requests under way that are kept at most."""
RESERVE = 64 * 1024 * 1024
"""Bytes beyond that, for small ones: they get on while large ones fill all the room."""
SMALL = 1024 * 1024


class BodyMemory:
    """How much memory the bodies of all requests under way may take together.

    What is taken is added up as it comes, and counted anew only where the sum says that no room is left: so nobody has
    to say when a body has gone.
    """

    def __init__(self, held: Callable[[], Iterable[int]] = tuple) -> None:
        """`held` gives the bytes of each request under way."""
        self._held = held
        self._sum = 0

    def take(self, more: int, size: int) -> bool:
        """Whether there is room for `more` bytes of a body that has `size` by now."""
        self._sum += more
        return self._is_within(ROOM + RESERVE if size <= SMALL else ROOM)

    def has(self, size: int) -> bool:
        """Whether a body of `size` bytes would fit."""
        return self._is_within((ROOM + RESERVE if size <= SMALL else ROOM) - size)

    def _is_within(self, limit: int) -> bool:
        if self._sum > limit:
            self._sum = sum(self._held())
        return self._sum <= limit
