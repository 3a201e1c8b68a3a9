"""Threads for work that would hold up the event loop.

A thread does not help while one call keeps the GIL: what runs here goes in small steps, or releases it.
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
"""Seconds of the interpreter's switch interval while a thread works.

Python's 5 ms are better otherwise: idle threads then don't interrupt the loop in the middle of a request.
"""

_lock = threading.Lock()
_usual: list[float] = []
"""The interval to restore, once for each thread at work."""


@contextmanager
def short_switch_interval() -> Iterator[None]:
    """Shorten the switch interval until the last of the concurrent blocks ends."""
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

_THREADS = ThreadPoolExecutor(2, "neurolink")
"""Apart from the loop's own threads: DNS lookups must not wait for this work."""


async def run_in_thread(do: Callable[[], T]) -> T:
    """Return what `do` returns, or raise what it raises, without holding up the event loop."""

    def work() -> T:
        with short_switch_interval():
            return do()

    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)
