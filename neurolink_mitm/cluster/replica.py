"""The component of a replica: hears what others publish, and once a second says that it is there and reads all."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import msgspec

from neurolink_mitm.adapters.background import Job, run_again
from neurolink_mitm.cluster.feed import Feed
from neurolink_mitm.cluster.redis.link import AwayError, Link, RefusedError, text_of
from neurolink_mitm.cluster.redis.news import News
from neurolink_mitm.core.cluster.members import LONGEST, MOST, Member, read_members, written
from neurolink_mitm.core.cluster.offset import as_time

logger = logging.getLogger("neurolink.cluster")

EVERY = 1.0
"""Seconds from one full reading to the next."""
AGAIN = 0.5
"""The same after one that has failed."""
GONE = 10.0
"""Seconds without a sign of life after which a replica is gone."""
FIRST_READING = 1.0
"""Seconds that a start waits for the first reading."""
FEED_LIMIT = 2.0
"""Seconds that a feed may take for one push and one reading."""
TOLD_EVERY = 60.0
"""Seconds between two log lines of what goes on failing."""
BETWEEN_PUSHES = 0.005
"""Seconds from one push of a feed to the next: what changes meanwhile goes together, and a feed that wakes itself can't
keep the event loop."""
AFTER_FAILED = 0.05
"""The same after a push that has failed; the breaker may refuse it at once."""
LONGEST_NEWS = 128 * 1024
"""Bytes of news that are taken over: a few milliseconds. Longer ones are none of ours, or are read within a second."""
APART = 0.02
"""Seconds between the beginnings of two feeds once Redis is back: there is much to write, and requests go on."""
LEAVING = 0.4
"""Seconds for all that is said to Redis at a stop."""


T = TypeVar("T")


class Seen(NamedTuple):
    """What a tick has returned."""

    server_time: float
    epoch: bytes
    """Another one: Redis may have lost everything."""
    members: Mapping[str, Member]


@dataclass(slots=True)
class Shared:
    """A feed and its pushes, one at a time."""

    feed: Feed
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    pushing: asyncio.Lock = field(default_factory=asyncio.Lock)


class Replica:
    """One proxy of several that share a namespace in Redis."""

    def __init__(self, link: Link, replica_id: str, describe: Callable[[Replica], Member]) -> None:
        """`describe` returns what other replicas show of this one."""
        self.link = link
        self.id = replica_id
        self.members: Mapping[str, Member] = {}
        """What each replica says of itself, by id, this one included; as of the last reading."""
        self.failing: dict[str, str] = {}
        """Why a kind of state is not shared, while Redis is there."""
        self.heard_after: float | None = None
        """Seconds from the last tick until its beat was heard."""
        self.lag: float | None = None
        """Seconds that Redis took for its last answer; None before the first."""
        self.read_at: float | None = None
        """When all was last read, in seconds since the epoch; None before the first time."""
        self.news = News(link, self._take)
        self._shared: dict[str, Shared] = {}
        self._describe = describe
        self._epoch: bytes | None = None
        self._is_back = False
        """Whether Redis was away, or has lost everything, since the last exchange."""
        self._beat = ("", 0.0)
        """The last beat, and when it was sent."""
        self._first = asyncio.Event()
        self._logged: dict[str, float] = {}
        """When it was logged that a kind is not shared."""
        self._unreadable: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def count(self) -> int:
        """How many replicas there are, or were when Redis was last there; at least 1."""
        return max(1, len(self.members))

    def share(self, feeds: Iterable[Feed]) -> None:
        """Have `feeds` pushed and read; before the start."""
        self._shared = {feed.kind: Shared(feed) for feed in feeds}

    def wake(self, kind: str) -> None:
        """Have the feed of this kind pushed soon. Does not block."""
        if shared := self._shared.get(kind):
            shared.wake.set()

    async def start(self) -> None:
        """Begin, and wait a moment for the first reading."""
        self.begin()
        await self.wait_for_reading()

    def begin(self) -> None:
        jobs: dict[str, Job] = {"ticks": self._tick, "news": self.news.hear}
        jobs |= {f"push of {kind}": self._pusher(each) for kind, each in self._shared.items()}
        self._tasks = [
            asyncio.create_task(run_again(job, f"cluster: {name}")) for name, job in jobs.items()
        ]

    async def wait_for_reading(self) -> None:
        """Wait for the first reading, a second at most."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._first.wait(), FIRST_READING)

    async def stop(self) -> None:
        """Write what is unwritten, hand back what this replica holds, and end; in half a second at most."""
        self._first.set()  # nobody waits any longer
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVING):
                await asyncio.gather(*(self._leave(each) for each in self._shared.values()))
                with suppress(AwayError, RefusedError):
                    await self.link.script("leave", ["members", "alive"], [self.id])
        for each in self._shared.values():
            self._safely(each.feed.kind, each.feed.close)
        await self.link.close()

    async def _tick(self) -> None:
        while True:
            began = time.monotonic()
            good = await self._look()
            if good:
                await self._exchange_all()
                self.read_at = time.time()
                self._first.set()
            pause = (EVERY if good else AGAIN) - (time.monotonic() - began)
            await asyncio.sleep(max(0.05, pause))

    async def _look(self) -> bool:
        """Say that this replica is there, and take over the clock, the epoch and the members."""
        away = self.link.breaker.is_open
        try:
            seen, before, after = await self._ask()
            self.link.offset.measured(seen.server_time, before, after)
        except AwayError:
            return False
        except RefusedError as e:
            self._fails("members", e)
            return False
        self._recovered("members")
        self._is_back = away or self._epoch not in (None, seen.epoch)
        if self._epoch != seen.epoch:
            for each in self._shared.values():
                self._safely(each.feed.kind, each.feed.lost)
        self._epoch, self.members = seen.epoch, seen.members
        if away:
            self.news.retry()
        return True

    async def _ask(self) -> tuple[Seen, float, float]:
        """Return what Redis answers, and our clock before and after."""
        about = self._safely("members", lambda: written(self._describe(self))) or b"{}"
        self._beat = secrets.token_hex(8), time.monotonic()
        keys, channel = ["members", "alive", "epoch"], self.link.names.news
        epoch, beat = secrets.token_hex(16), self._beat[0]
        arguments = [self.id, about, GONE, epoch, MOST, LONGEST, channel, beat]
        before, began = time.time(), time.monotonic()
        seen: Seen = await self.link.script("tick", keys, arguments, read=read_tick)
        self.lag = time.monotonic() - began
        return seen, before, time.time()

    async def _exchange_all(self) -> None:
        apart, self._is_back = APART if self._is_back else 0.0, False
        async with asyncio.TaskGroup() as group:
            for each in self._shared.values():
                group.create_task(self._exchange(each))
                await asyncio.sleep(apart)  # a turn of the event loop for each feed

    async def _exchange(self, shared: Shared) -> None:
        kind, feed = shared.feed.kind, shared.feed
        pushed = await self._push(shared)
        read = await self._tried(kind, lambda: feed.read(self.link))
        if pushed and read:
            self._recovered(kind)

    async def _push(self, shared: Shared) -> bool:
        async with shared.pushing:
            return await self._tried(shared.feed.kind, lambda: shared.feed.push(self.link))

    async def _leave(self, shared: Shared) -> None:
        await self._push(shared)
        await self._tried(shared.feed.kind, lambda: shared.feed.leave(self.link))

    def _pusher(self, shared: Shared) -> Job:
        async def push() -> None:
            while True:
                await shared.wake.wait()
                shared.wake.clear()
                done = await self._push(shared)
                await asyncio.sleep(BETWEEN_PUSHES if done else AFTER_FAILED)

        return push

    async def _tried(self, kind: str, work: Callable[[], Awaitable[None]]) -> bool:
        """Return whether a feed's work is done. One that fails does not stop the others."""
        try:
            async with asyncio.timeout(FEED_LIMIT):
                await work()
        except AwayError:
            return False  # the tick tries it again
        except Exception as e:
            self._fails(kind, e)
            return False
        return True

    def _safely(self, kind: str, work: Callable[[], T]) -> T | None:
        try:
            return work()
        except Exception as e:
            self._fails(kind, e)
            return None

    def _fails(self, kind: str, error: Exception) -> None:
        """Note that `kind` is not shared, and log it once a minute."""
        self.failing[kind] = text_of(error)
        now = time.monotonic()
        if now - self._logged.get(kind, -TOLD_EVERY) >= TOLD_EVERY:
            self._logged[kind] = now
            refused = isinstance(error, RefusedError | TimeoutError)
            logger.warning(
                "%s: not shared (%s)", kind, text_of(error), exc_info=None if refused else error
            )

    def _recovered(self, kind: str) -> None:
        if self.failing.pop(kind, None) is not None:
            logger.info("%s: shared again", kind)

    def _take(self, data: bytes) -> None:
        """Take over what was published. Whatever that is, others go on; what can't be read is logged once a kind."""
        kind: object = "news"
        try:
            if len(data) > LONGEST_NEWS:
                raise ValueError("too long")
            kind, sender, *news = msgspec.msgpack.decode(data, type=list)
            if kind == "beat":
                self._take_beat(sender, news)
            elif sender != self.id and isinstance(kind, str) and (shared := self._shared.get(kind)):
                shared.feed.heard([sender, *news])
        except Exception as e:
            name = kind if isinstance(kind, str) and kind in self._shared else "news"
            if name not in self._unreadable:
                self._unreadable.add(name)
                logger.warning("%s: news that can't be read are left out (%s)", name, text_of(e))

    def _take_beat(self, sender: object, news: list[object]) -> None:
        beat, sent = self._beat
        if sender == self.id and news == [beat]:
            self.heard_after = time.monotonic() - sent


def read_tick(answer: Any) -> Seen:
    """Return what the script has returned. Raises `ValueError`."""
    match answer:
        case [bytes() as server_time, bytes() as epoch, list() as members]:
            return Seen(as_time(server_time), epoch, members_of(members))
    raise ValueError("not what the script returns")


def members_of(flat: Sequence[bytes]) -> dict[str, Member]:
    """Return the replicas of a script's flat list of id, JSON and last tick."""
    rows = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
    return read_members((name.decode(errors="replace"), said, float(at)) for name, said, at in rows)
