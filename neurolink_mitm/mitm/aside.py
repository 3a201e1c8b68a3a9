"""Work that would hold up the event loop, on threads of its own.

A thread alone does not help where one call keeps the GIL: what runs here goes in small steps, or releases it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from neurolink_mitm.mitm.turns import short_turns

T = TypeVar("T")

_THREADS = ThreadPoolExecutor(2, "aside")
"""Not the loop's own, which look up names: they must not wait for this."""


async def aside(do: Callable[[], T]) -> T:
    """What `do` returns, or raises; others are served meanwhile."""

    def work() -> T:
        with short_turns():
            return do()

    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)
