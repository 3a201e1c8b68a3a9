"""A witness of the event loop: whether it stood still while a test did what it did.

    with Witness(proxy.loop, over_ms=100) as witness:
        …
    assert witness.stalls == []

Time in which other programs had the CPU does not count (on Linux), so that a busy machine fails no test. Of a proxy
that is another process, ask `/status`: `loop.lagMs.max`, `loop.lastStall`.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from dataclasses import dataclass, field
from typing import Any, Self

from neurolink_mitm.adapters.loop_watchdog import LoopWatchdog
from neurolink_mitm.core.status.event_loop import Lag, Stall

EVERY = 0.01
LIMIT = 30.0


@dataclass
class Witness:
    """Watches a loop of this process, which runs in another thread, for stalls of more than `over_ms`."""

    loop: asyncio.AbstractEventLoop
    over_ms: float = 100.0
    seen: list[Stall] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._dog = LoopWatchdog(
            Lag(), every=EVERY, stall=self.over_ms / 1000, on_stall=self.seen.append
        )
        gc.freeze()  # a collection of what earlier tests left is none of the proxy's, which freezes its start, too
        self._call(self._dog.start)
        return self

    def __exit__(self, *exc: object) -> None:
        self._call(lambda: None)  # what it was at when the test was through counts, too
        self._call(self._dog.stop)

    @property
    def stalls(self) -> list[str]:
        """In words, the longest first; to be read after the `with`."""
        own = [each for each in self.seen if each.own * 1000 > self.over_ms]
        ordered = sorted(own, key=lambda each: -each.own)
        return [f"{each.own * 1000:.0f} ms at {' < '.join(each.stack)}" for each in ordered]

    def _call(self, what: Any) -> None:
        done = threading.Event()

        def call() -> None:
            what()
            done.set()

        self.loop.call_soon_threadsafe(call)
        assert done.wait(LIMIT), f"the loop stands still: {self.stalls}"
