"""Lets the event loop have the interpreter back soon, while a thread beside it is at long work.

Work that would hold up the event loop, on threads of its own.

A thread alone does not help where one call keeps the GIL: what runs here goes in small steps, or releases it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

SHORT = 0.001
"""Seconds after which who waits for the interpreter gets it. Python's own 5 ms are better at all other times: threads
that have next to nothing to do then don't break off the loop in the middle of a request."""

_lock = threading.Lock()
_usual: list[float] = []
"""The interval to go back to, once for each who is at work."""


@contextmanager
def short_switch_interval() -> Iterator[None]:
    """For as long as somebody is at work in it."""
    with _lock:
        _usual.append(_usual[0] if _usual else sys.getswitchinterval())
        sys.setswitchinterval(SHORT)
    try:
        yield
    finally:
        with _lock:
            usual = _usual.pop()
            if not _usual:
                sys.setswitchinterval(usual)


T = TypeVar("T")

_THREADS = ThreadPoolExecutor(2, "aside")
"""Not the loop's own, which look up names: they must not wait for this."""


async def run_in_thread(do: Callable[[], T]) -> T:
    """What `do` returns, or raises; others are served meanwhile."""

    def work() -> T:
        with short_switch_interval():
            return do()

    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)
