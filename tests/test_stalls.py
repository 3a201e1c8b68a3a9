"""The witness sees what it has to see, and nothing else."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from tests.stalls import Witness
from tests.waiting import LIMIT


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(LIMIT)
    loop.close()


def spin(seconds: float) -> None:
    """Compute so long."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def work(seconds: float) -> None:
    spin(seconds)


def test_a_stall_is_seen_with_its_place(loop: asyncio.AbstractEventLoop) -> None:
    with Witness(loop, over_ms=100) as witness:
        asyncio.run_coroutine_threadsafe(work(0.3), loop).result(LIMIT)
    assert len(witness.stalls) == 1
    assert "test_stalls.py" in witness.stalls[0]


def test_short_work_is_none(loop: asyncio.AbstractEventLoop) -> None:
    with Witness(loop, over_ms=200) as witness:
        for _ in range(5):
            asyncio.run_coroutine_threadsafe(work(0.02), loop).result(LIMIT)
    assert witness.stalls == []
