"""A start that is broken off leaves no process behind."""

import asyncio
import threading
from contextlib import suppress
from pathlib import Path

from clustertest.replicas import Pool, Replica


class Slow(Replica):
    """Its process is there when it `may` be."""

    def __init__(self) -> None:
        super().__init__(0, Path(), 0, 0, Pool())
        self.may = threading.Event()
        self.ended = threading.Event()

    def _start(self, ahead: float) -> None:
        self.may.wait(5)
        self._running.callback(self.ended.set)


async def test_a_start_that_is_cancelled_can_be_ended() -> None:
    replica = Slow()
    starting = asyncio.create_task(replica.start())
    await asyncio.sleep(0)
    starting.cancel()
    asyncio.get_running_loop().call_later(0.05, replica.may.set)
    with suppress(asyncio.CancelledError):
        await starting
    await replica.end()
    assert replica.ended.is_set()
