"""Memory that nobody uses any more goes back to the system.

Bodies of 100 KB come and go, and glibc keeps the holes between what stays. Where the C library is another, or has no
such call (macOS, musl), nothing is done.
"""

from __future__ import annotations

import asyncio
import ctypes
from typing import Any

EVERY = 5.0
"""Seconds between two tidyings: each takes a millisecond or two, in which nobody else can allocate."""


async def keep_small(every: float = EVERY) -> None:
    """Until it is cancelled."""
    trim = _malloc_trim()
    while trim is not None:
        await asyncio.sleep(every)
        await asyncio.to_thread(trim, 0)


def _malloc_trim() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None
