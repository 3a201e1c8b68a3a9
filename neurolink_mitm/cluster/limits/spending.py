"""What all replicas have spent today, and what their clients have used: the feed, and the file `spend.json`."""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from neurolink_mitm.adapters.background import Worker
from neurolink_mitm.adapters.cost import MOST_USD, WRITE_INTERVAL, Day, Spending, read_day
from neurolink_mitm.adapters.files import locked, write_atomic
from neurolink_mitm.cluster.redis.link import Link
from neurolink_mitm.cluster.replica import Replica
from neurolink_mitm.core.cluster.daybook import (
    DAY,
    LONGEST,
    MOST_PARTS,
    Daybook,
    Home,
    Part,
    Record,
    Use,
)
from neurolink_mitm.core.cost.budget import Apart, ClientUse
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.logs.timestamps import next_midnight
from neurolink_mitm.ports import Runtime

logger = logging.getLogger("neurolink.spending")

PUSH_AFTER = 0.05
"""Seconds from a booking until it is written to Redis, with those that come meanwhile."""
KEPT = 3 * DAY
"""Seconds after its last change for which Redis has a day."""
MOST_BYTES = 1024 * 1024
"""Bytes of parts that one answer has; the rest comes with the next."""
WRITTEN, EXCHANGES = 50, 3
"""Parts that are written at once, and how often in a row: many only where Redis has lost all."""
SIGNATURE = 56
"""Bytes before a part: whoever can write to Redis must not make up what was spent, or nobody could spend any more."""
MOST_READ = 32 * 1024 * 1024
"""Bytes of other replicas' parts that are taken over in a day."""


class Signer(Protocol):
    """Signs by the cluster's key, as `home/seal.py` does."""

    def seal(self, place: tuple[str, str, int], plain: bytes, *, hidden: bool) -> bytes: ...

    def open(self, place: tuple[str, str, int], sealed: bytes, *, hidden: bool) -> bytes:
        """Raises `ValueError`."""


class SharedSpending:
    """Books on the budget at once, adds up what replicas have spent, and writes the file in a thread of its own."""

    kind = "spend"

    def __init__(self, replica: Replica, runtime: Runtime, alone: Spending, signer: Signer) -> None:
        """`alone` counted so far, and does again after `close`."""
        self._signer = signer
        self._replica, self._runtime, self._alone = replica, runtime, alone
        self._budget = runtime.pool.budget
        self._daybook = Daybook(replica.id, self._today())
        self._synced = Part()
        """What Redis has of this replica's part."""
        self._stored: Mapping[str, int] = {}
        """The versions of parts that Redis has."""
        self._read_bytes = 0
        self._knows_yesterday = False
        self._replicas = 1
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._busy = asyncio.Lock()
        self._unwritten = self._closing = self._failing = False
        self._loaded = False
        self._due = 0.0
        self._changed = threading.Condition(threading.RLock())
        self._budget.apart = Apart()
        self._budget.midnight = self._midnight
        runtime.spending = self
        self._thread = Worker(self._run, "shared spending")
        alone.lend(self._thread)

    # Booking

    def add(self, usd: float, now: float, client: str | None = None, used: float = 0.0) -> None:
        usd, used = min(usd, MOST_USD), min(used, MOST_USD)
        if not usd and not client:
            return
        with self._changed:
            self._roll()
            at = max(0.0, self._replica.link.offset.to_server(now))
            use = Use(used, 1, at)
            self._daybook.book(usd, client, use)
            self._add_up(usd, client, use)
            self._unwritten = True
            self._changed.notify_all()
        if self._timer is None:
            self._timer = self._loop.call_later(PUSH_AFTER, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._replica.wake(self.kind)

    def _today(self) -> int:
        """Return the day of UTC by Redis' clock."""
        return int(max(0.0, self._replica.link.offset.to_server(self._runtime.clock.now())) // DAY)

    def _midnight(self, now: float) -> float:
        offset = self._replica.link.offset
        return offset.to_ours((offset.to_server(now) // DAY + 1) * DAY)

    def _roll(self) -> None:
        if self._daybook.roll(self._today()):
            self._synced, self._stored, self._read_bytes = Part(), {}, 0
            self._sum_up()

    def _add_up(self, usd: float, client: str | None, use: Use) -> None:
        """Have the budget show a request more."""
        budget, apart = self._budget, self._budget.apart
        budget.spent += usd
        apart.usd += usd
        if client:
            more = ClientUse(use.usd, use.usd, use.requests, use.last_used_at)
            budget.clients.setdefault(client, ClientUse()).add(more)
            apart.clients[client] = apart.clients.get(client, 0.0) + use.usd

    def _sum_up(self) -> None:
        """Have the budget show the sums of all."""
        budget, own, synced = self._budget, self._daybook.own, self._synced
        if not self._loaded:
            return
        budget.spent, budget.clients = self._daybook.usd, self._daybook.uses()
        ends_at = self._replica.link.offset.to_ours((self._daybook.day + 1) * DAY)
        if abs(ends_at - budget.day_ends_at) > 1:
            budget.day_ends_at = ends_at
        budget.apart.usd = own.usd - synced.usd
        budget.apart.clients = {
            name: use.usd - synced.clients.get(name, Use()).usd for name, use in own.clients.items()
        }
        if self._replica.link.offset.seconds is not None:
            self._replicas = self._replica.count
        budget.apart.replicas = self._replicas

    # Redis

    def heard(self, news: list[Any]) -> None:
        _, day, part_id, version, text = news
        with self._changed:
            if int(day) == self._daybook.day:
                self._merge(int(day), str(part_id), int(version), _bytes(text))

    async def push(self, link: Link) -> None:
        with self._changed:
            behind = self._is_behind()
        if behind:
            await self.read(link)

    async def read(self, link: Link) -> None:
        async with self._busy:
            for _ in range(EXCHANGES):
                if not await self._exchange(link):
                    break
            if not self._knows_yesterday:
                await self._read_yesterday(link)

    async def _exchange(self, link: Link) -> bool:
        """Write and read what is new. Return whether there is more to write."""
        with self._changed:
            self._roll()
            daybook, day = self._daybook, self._daybook.day
            own = msgspec.convert(msgspec.to_builtins(daybook.own), Part)  # a copy
            pushed = self._to_write()
            versions = [text for each in daybook.versions.items() for text in map(str, each)]
        arguments = [link.names.news, self._replica.id, day, KEPT, MOST_PARTS, LONGEST + SIGNATURE]
        arguments.append(MOST_BYTES)
        written = [text for each in pushed for text in each]
        keys = [f"spend {day} versions", f"spend {day} parts"]
        answer = await link.script("spend", keys, [*arguments, len(pushed), *written, *versions])
        with self._changed:
            if day != self._daybook.day:
                return False
            self._synced, self._budget.apart.synced_at = own, self._runtime.clock.now()
            self._stored = {
                _text(i): int(v) for i, v in zip(answer[0][::2], answer[0][1::2], strict=True)
            }
            broken = self._merge_all(answer[1])
            self._sum_up()
        if broken:  # whoever knows them better writes them again
            await link.ask(lambda redis: redis.hdel(link.names.key(keys[0]), *broken))
        return self._is_behind()

    def _merge_all(self, flat: Sequence[bytes]) -> list[bytes]:
        """Take over ids, versions and texts of parts. Return the ids of those that are none."""
        broken = []
        for part_id, version, text in _triples(flat):
            try:
                self._merge(self._daybook.day, _text(part_id), int(version), text)
            except (ValueError, *UNREADABLE):
                broken.append(part_id)
        return broken

    def _is_behind(self) -> bool:
        """Return whether Redis has no version of a part, or an older one."""
        versions = self._daybook.versions
        return any(version > self._stored.get(each, 0) for each, version in versions.items())

    def _to_write(self) -> list[tuple[str, int, bytes]]:
        """Return the parts that Redis does not have, `WRITTEN` at most."""
        stored, daybook = self._stored, self._daybook
        newer = [(i, v) for i, v in daybook.versions.items() if v > stored.get(i, 0)]
        return [(each, version, self._signed(each, version)) for each, version in newer[:WRITTEN]]

    def _signed(self, part_id: str, version: int) -> bytes:
        place, text = (
            (f"spend {self._daybook.day}", part_id, version),
            self._daybook.written(part_id),
        )
        sealed = self._signer.seal(place, text, hidden=False)
        return base64.b64encode(sealed[: len(sealed) - len(text)]) + text

    def _part(self, day: int, part_id: str, version: int, text: bytes) -> Part:
        """Return a part that a replica has signed. Raises `ValueError` for any other."""
        sealed = base64.b64decode(text[:SIGNATURE], validate=True) + text[SIGNATURE:]
        place = (f"spend {day}", part_id, version)
        return msgspec.json.decode(self._signer.open(place, sealed, hidden=False), type=Part)

    def _merge(self, day: int, part_id: str, version: int, text: bytes) -> None:
        """Take over a part. Raises `ValueError` if it is none."""
        part = self._part(day, part_id, version, text)
        self._read_bytes += len(text) if part_id != self._daybook.id else 0
        if self._read_bytes > MOST_READ:
            return
        if self._daybook.merge(part_id, version, part):
            self._unwritten = True
            self._changed.notify_all()
            self._sum_up()

    async def _read_yesterday(self, link: Link) -> None:
        """Take over what clients had used until the day, of those that have seen it: this home may be a new one."""
        day = self._daybook.day - 1
        before = Daybook("", day)
        arguments = [link.names.news, "", day, KEPT, MOST_PARTS, LONGEST + SIGNATURE, MOST_BYTES, 0]
        keys = [f"spend {day} versions", f"spend {day} parts"]
        answer = await link.script("spend", keys, arguments)
        for name, version, text in _triples(answer[1]):
            try:
                before.merge(_text(name), 1, self._part(day, _text(name), int(version), text))
            except (ValueError, *UNREADABLE):
                continue
        with self._changed:
            self._knows_yesterday = True
            self._daybook.raise_before({name: use for name, use, _ in before.clients()})
            self._sum_up()

    def lost(self) -> None:
        with self._changed:
            self._stored = {}

    async def leave(self, link: Link) -> None:
        await self.push(link)

    def close(self) -> None:
        """Have `alone` count again, as soon as the file is written."""
        if self._timer:
            self._timer.cancel()
        self._budget.apart, self._budget.midnight = Apart(), next_midnight
        self._runtime.spending = self._alone
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    # The file

    def _run(self) -> None:
        if not self._loaded:
            self._alone.settle()
            self._load()
        while True:
            with self._changed:
                while not self._unwritten and not self._closing:
                    self._changed.wait()
                self._changed.wait_for(lambda: self._closing, self._due - time.monotonic())
                self._unwritten, closing = False, self._closing
            self._due = time.monotonic() + WRITE_INTERVAL
            written = self._write()
            if closing:
                self._alone.take_back()
                return
            if not written:
                with self._changed:
                    self._unwritten = True
                    self._changed.wait_for(lambda: self._closing, 1.0)

    def _load(self) -> None:
        """Take over what the file has: of this cluster's day, or spent by this home alone."""
        try:
            with locked(self._alone.path):
                day = read_day(self._alone.path)
                with self._changed:
                    self._join(day)
                    self._loaded = True
                    self._sum_up()
                    text = self._text_of_file()
                write_atomic(self._alone.path, text)
        except OSError as e:
            logger.error("%s can't be read: %s", self._alone.path, e.strerror)
            with self._changed:
                self._loaded = True
                self._sum_up()

    def _join(self, day: Day) -> None:
        record, is_today = _record(day), self._runtime.clock.now() < day.day_ends_at
        self._replicas = record.replicas
        home = Home(day.usd, day.clients, is_today, record)
        self._daybook.join(f"alone-{secrets.token_hex(8)}", home)

    def _write(self) -> bool:
        """Write the file, which other replicas of one home may have changed. Return whether that succeeded."""
        try:
            with locked(self._alone.path):
                day = read_day(self._alone.path)
                with self._changed:
                    if self._daybook.take(_record(day)):
                        self._sum_up()
                    text = self._text_of_file()
                write_atomic(self._alone.path, text)
        except Exception as e:  # the thread goes on, whatever it is
            if not self._failing:
                logger.error("%s can't be written: the cap may be exceeded after a restart: %s",
                             self._alone.path.name, e)  # fmt: skip
            self._failing = True
            return False
        self._failing = False
        return True

    def _text_of_file(self) -> bytes:
        budget, record = self._budget, self._daybook.record(self._replicas)
        day = Day(self._daybook.usd, budget.day_ends_at, self._daybook.uses(), record)
        return msgspec.json.encode(day) + b"\n"


def _record(day: Day) -> Record:
    try:
        return msgspec.convert(day.cluster or {}, Record)
    except ValueError:
        return Record()


def _triples(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes, bytes]]:
    return zip(flat[::3], flat[1::3], flat[2::3], strict=True)


def _bytes(text: object) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode()


def _text(name: bytes) -> str:
    return name.decode(errors="replace")
