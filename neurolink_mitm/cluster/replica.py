"""The component of a replica: hears what others publish, and once a second says that it is there and reads all."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress

import msgspec

from neurolink_mitm.adapters.background import Job, run_again
from neurolink_mitm.cluster.feed import Feed
from neurolink_mitm.cluster.link import COMMAND_LIMIT, AwayError, Link, RefusedError
from neurolink_mitm.core.cluster.members import LONGEST, MOST, Member, read_members, written
from neurolink_mitm.core.json_errors import UNREADABLE

logger = logging.getLogger("neurolink.cluster")

EVERY = 1.0
"""Seconds from one full reading to the next."""
GONE = 10.0
"""Seconds without a sign of life after which a replica is gone."""
FIRST_READING = 1.0
"""Seconds that a start waits for the first reading."""
LEAVING = 0.4
"""Seconds that the feeds have at a stop to hand back what this replica holds."""


class Replica:
    """One proxy of several that share a namespace in Redis."""

    def __init__(self, link: Link, replica_id: str, describe: Callable[[Replica], Member]) -> None:
        """`describe` returns what other replicas show of this one."""
        self.link = link
        self.id = replica_id
        self.members: Mapping[str, Member] = {}
        """What each replica says of itself, by id, this one included; as of the last reading."""
        self.lag: float | None = None
        """Seconds that Redis took for its last answer; None before the first."""
        self.read_at: float | None = None
        """When all was last read, in seconds since the epoch; None before the first time."""
        self._feeds: dict[str, Feed] = {}
        self._wakes: dict[str, asyncio.Event] = {}
        self._describe = describe
        self._failing: set[str] = set()
        self._epoch: bytes | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._read = asyncio.Event()

    @property
    def count(self) -> int:
        """How many replicas there are, or were when Redis was last there; at least 1."""
        return max(1, len(self.members))

    def share(self, feeds: Iterable[Feed]) -> None:
        """Have `feeds` pushed and read; before the start."""
        self._feeds = {feed.kind: feed for feed in feeds}
        self._wakes = {kind: asyncio.Event() for kind in self._feeds}

    def wake(self, kind: str) -> None:
        """Have the feed of this kind pushed soon. Does not block."""
        if event := self._wakes.get(kind):
            event.set()

    async def start(self) -> None:
        jobs: dict[str, Job] = {"ticks": self._tick, "news": self._hear}
        jobs |= {f"push of {kind}": self._pusher(kind) for kind in self._feeds}
        self._tasks = [
            asyncio.create_task(run_again(job, f"cluster: {name}")) for name, job in jobs.items()
        ]
        try:
            async with asyncio.timeout(FIRST_READING):
                await self._read.wait()
        except TimeoutError:
            logger.warning("Redis does not answer yet: this replica begins by what it knows")

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVING):
                for feed in self._feeds.values():
                    await self._guarded(feed, feed.leave(self.link))
        for feed in self._feeds.values():
            feed.close()
        with suppress(AwayError, RefusedError):
            await self.link.script("leave", ["members", "alive"], [self.id])
        await self.link.close()

    async def _tick(self) -> None:
        while True:
            began = time.monotonic()
            try:
                await self._look()
                for feed in self._feeds.values():
                    await self._guarded(feed, feed.push(self.link))
                    await self._guarded(feed, feed.read(self.link))
                self._read.set()
                self.read_at = time.time()
            except AwayError:
                pass
            await asyncio.sleep(max(0.05, EVERY - (time.monotonic() - began)))

    async def _guarded(self, feed: Feed, work: Awaitable[None]) -> None:
        """Do a feed's work. One that fails is logged once, and does not stop the others."""
        try:
            await work
        except AwayError:
            pass  # the tick tries it again
        except Exception:
            if feed.kind not in self._failing:
                logger.exception("%s are not shared", feed.kind)
            self._failing.add(feed.kind)

    async def _look(self) -> None:
        """Say that this replica is there, and take over the clock, the epoch and the members."""
        before, began = time.time(), time.monotonic()
        about, proposed = written(self._describe(self)), f"{self.id}/{before}"
        server, epoch, flat = await self.link.script(
            "tick", ["members", "alive", "epoch"], [self.id, about, GONE, proposed, MOST, LONGEST]
        )
        self.lag = time.monotonic() - began
        self.link.offset.measured(float(server), before, time.time())
        if self._epoch not in (None, epoch):
            for feed in self._feeds.values():
                feed.lost()
        self._epoch = epoch
        self.members = members_of(flat)

    def _pusher(self, kind: str) -> Job:
        async def push() -> None:
            while True:
                await self._wakes[kind].wait()
                self._wakes[kind].clear()
                feed = self._feeds[kind]
                await self._guarded(feed, feed.push(self.link))

        return push

    async def _hear(self) -> None:
        """Take over what is published; the readings make up for what is missed."""
        while True:
            try:
                await self._subscribed()
            except Exception as e:
                logger.debug("news are not heard: %s", type(e).__name__)
            await asyncio.sleep(EVERY)

    async def _subscribed(self) -> None:
        async with self.link.redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(self.link.names.news)
            while True:
                message = await pubsub.get_message(timeout=COMMAND_LIMIT)
                if message:
                    self._take(message["data"])

    def _take(self, data: bytes) -> None:
        try:
            kind, sender, *news = msgspec.msgpack.decode(data, type=list)
            if (feed := self._feeds.get(kind)) and sender != self.id:
                feed.heard([sender, *news])
        except (*UNREADABLE, ValueError, TypeError, KeyError) as e:
            logger.debug("news that can't be read: %s", type(e).__name__)


def members_of(flat: Sequence[bytes]) -> dict[str, Member]:
    """Return the replicas of a script's flat list of id, JSON and last tick."""
    rows = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
    return read_members((name.decode(errors="replace"), said, float(at)) for name, said, at in rows)
