"""Work beside requests: tasks and threads that are started again, with a growing pause, when they raise."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

logger = logging.getLogger("neurolink.background")

STEADY = 60.0
"""Seconds of work after which a failure counts as the first again."""
LONGEST_PAUSE = 30.0
"""Seconds between two starts at most."""

Job = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Backoff:
    """The pauses between starts: 0.2, 0.6, 1.8 … 30 s, and 0.2 s again after `STEADY` seconds of work."""

    failures: int = 0

    def pause(self, worked: float) -> float:
        """Return the seconds to wait after a failure that came after `worked` seconds."""
        self.failures = 1 if worked > STEADY else self.failures + 1
        return float(min(LONGEST_PAUSE, 0.2 * 3 ** min(self.failures - 1, 10)))

    def log(self, name: str, began: float) -> float:
        """Log the exception at hand of what `began` then (monotonic seconds), and return the pause."""
        pause = self.pause(time.monotonic() - began)
        logger.exception("%s has failed and is started again in %.1f s", name, pause)
        return pause


async def run_again(job: Job, name: str) -> None:
    """Run `job` until it returns or is cancelled; start it again when it raises."""
    backoff = Backoff()
    while True:
        began = time.monotonic()
        try:
            return await job()
        except Exception:
            pause = backoff.log(name, began)
        await asyncio.sleep(pause)


class Worker(threading.Thread):
    """A daemon thread that runs `work` until it returns, and starts it again when it raises."""

    def __init__(self, work: Callable[[], None], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._ending = threading.Event()
        self.start()

    def run(self) -> None:
        backoff, ended = Backoff(), False
        while not ended:
            began, ended = time.monotonic(), self._ending.is_set()
            try:
                return self._work()
            except Exception:
                pause = backoff.log(self.name, began)
            self._ending.wait(pause)

    def end(self, timeout: float) -> None:
        """Wait for `work` to return, which the caller has asked it to; it is not started again more than once."""
        self._ending.set()
        self.join(timeout)


@dataclass(frozen=True)
class Closing:
    """The component of something that works from its making on, and has to be closed."""

    close: Callable[[], Awaitable[object]]
    """Takes a bounded time."""
    begin: Callable[[], None] = lambda: None

    async def start(self) -> None:
        self.begin()

    async def stop(self) -> None:
        await self.close()


def closing(close: Callable[[], object], begin: Callable[[], None] = lambda: None) -> Closing:
    """The same for a `close` that blocks."""
    return Closing(partial(asyncio.to_thread, close), begin)
