"""Memory goes back to the system, as the kernel counts it; in processes of their own, where nothing else allocates."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from neurolink_mitm.adapters import heap

HOLES = """
import asyncio
import psutil
from neurolink_mitm.adapters import heap

def rss() -> int:
    return psutil.Process().memory_info().rss

async def main() -> None:
    pieces = [bytes(1000) for _ in range(60_000)]
    kept = pieces[::500]
    full = rss()
    pieces.clear()
    task = asyncio.create_task(heap.keep_small(every=0.01))
    for _ in range(1000):
        await asyncio.sleep(0.01)
        if full - rss() > 40_000_000:
            break
    task.cancel()
    print(full - rss() > 40_000_000, len(kept))

asyncio.run(main())
"""


@pytest.mark.skipif(heap._malloc_trim() is None, reason="the C library is not glibc")
def test_holes_between_what_stays_go_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOLES], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "True 120\n"


async def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        def __init__(self, name: str | None) -> None: ...

    monkeypatch.setattr(heap.ctypes, "CDLL", Other)
    await asyncio.wait_for(heap.keep_small(), 10)
