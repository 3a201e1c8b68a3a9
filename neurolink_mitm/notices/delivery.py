"""Delivers events in a thread with an event loop of its own: neither requests nor other channels wait for a channel."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence

from neurolink_mitm.notices.channels import Channel
from neurolink_mitm.notices.daemon_threads import DaemonThreads
from neurolink_mitm.notices.event import Event
from neurolink_mitm.notices.undelivered import Undelivered

logger = logging.getLogger("neurolink.notices")

MAX_QUEUE = 1000
"""Events that wait for a channel; further ones are dropped."""
STALE = 600.0
"""Seconds after which an event that waits is not delivered any more."""
CLOSE_LIMIT = 5.0
"""Seconds in which what waits is delivered at the end."""
LOG_EVERY = 60.0
"""Seconds between two lines about one channel's failures."""


class _Line:
    """The events that wait for one channel, and its task."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.waiting: asyncio.Queue[tuple[Event, float] | None] = asyncio.Queue(MAX_QUEUE + 1)
        self.task: asyncio.Task[None] | None = None
        self.logged_at = float("-inf")


class Delivery:
    """Delivers each event through each channel. `put` and `configure` never block; `sent` counts deliveries."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.sent = self.failed = 0
        self.last_error: str | None = None
        self._clock = clock
        self._channels: tuple[Channel, ...] = ()
        self._lines: dict[str, _Line] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def configure(self, channels: Sequence[Channel]) -> None:
        """Use these channels from now on. What waits for one that stays is sent by its new settings."""
        self._channels = tuple(channels)
        if self._loop:
            self._loop.call_soon_threadsafe(self._configure, self._channels)

    def put(self, event: Event) -> None:
        """Queue an event; the first one starts the thread."""
        self._started().call_soon_threadsafe(self._put, event, self._clock())

    def close(self, timeout: float = CLOSE_LIMIT) -> None:
        """Deliver what waits within `timeout` seconds, and end the thread. Blocks."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        done = asyncio.run_coroutine_threadsafe(self._drain(timeout), loop)
        done.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))
        thread.join(timeout + 2.0)
        self._loop = self._thread = None
        self._lines = {}

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._loop.call_soon_threadsafe(self._configure, self._channels)
            self._thread = threading.Thread(
                target=self._serve, args=(self._loop,), name="notices", daemon=True
            )
            self._thread.start()
        return self._loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.set_default_executor(DaemonThreads())
        try:
            loop.run_forever()
        finally:
            loop.close()

    def _configure(self, channels: Sequence[Channel]) -> None:
        before, self._lines = self._lines, {}
        for channel in channels:
            line = before.pop(channel.name) if channel.name in before else _Line(channel)
            self._lines[channel.name] = line
            line.channel = channel
            line.task = line.task or asyncio.ensure_future(self._work(line))
        for line in before.values():
            if line.task:
                line.task.cancel()

    def _put(self, event: Event, since: float) -> None:
        for line in self._lines.values():
            if line.waiting.qsize() < MAX_QUEUE:
                line.waiting.put_nowait((event, since))
            else:
                self._fail(line, f"more than {MAX_QUEUE} events wait")

    async def _work(self, line: _Line) -> None:
        """Deliver until None comes."""
        while waiting := await line.waiting.get():
            event, since = waiting
            if self._clock() - since > STALE:
                self._fail(line, f"an event waited for over {STALE:.0f} s")
                continue
            try:
                await line.channel.send(event)
            except Undelivered as e:
                self._fail(line, str(e))
            except Exception as e:  # the next event may get through
                self._fail(line, f"{type(e).__name__} in the program")
                logger.debug("the channel %s is broken", line.channel.name, exc_info=True)
            else:
                self.sent += 1

    def _fail(self, line: _Line, why: str) -> None:
        self.failed += 1
        self.last_error = f"{line.channel.name}: {why}"
        now = self._clock()
        if now - line.logged_at >= LOG_EVERY:
            logger.warning("a notice was not delivered by %s", self.last_error)
            line.logged_at = now

    async def _drain(self, limit: float) -> None:
        """Let the lines end after what waits; cancel those that have not ended after `limit` seconds."""
        lines = [line for line in self._lines.values() if line.task]
        tasks = [line.task for line in lines if line.task]
        for line in lines:
            line.waiting.put_nowait(None)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=limit)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for line in lines:
            left = line.waiting.qsize() - line.waiting.empty()
            if left > 0:
                logger.warning("%d notices were not delivered by %s", left, line.channel.name)
