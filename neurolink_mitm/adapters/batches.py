"""A queue to a writer's thread, which takes what has gathered in one batch: each turn of it holds up the loop."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Batches(Generic[T]):
    """Takes items from any thread, and never blocks; one thread iterates over the batches."""

    def __init__(self, gather: float) -> None:
        """`gather`: seconds in which items gather after a batch; a process that is killed loses as many."""
        self._gather = gather
        self._items: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._ended = False

    def __len__(self) -> int:
        return self._items.qsize()

    def put(self, item: T) -> None:
        self._items.put(item)

    def end(self) -> None:
        """Let the iteration end after the items that wait now."""
        self._ending.set()
        self._items.put(None)

    def __iter__(self) -> Iterator[list[T]]:
        """Yield the items that wait: the first at once, later ones when they have gathered."""
        while not self._ended:
            if batch := self._batch(self._items.get()):
                yield batch
            self._ending.wait(self._gather)

    def _batch(self, first: T | None) -> list[T]:
        waiting = [
            self._items.get() for _ in range(self._items.qsize())
        ]  # only one thread takes any
        batch = [item for item in (first, *waiting) if item is not None]
        self._ended = len(batch) <= len(waiting)
        return batch
