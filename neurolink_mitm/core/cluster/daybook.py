"""What all replicas have spent in a day: the part of each, which only grows, so that any order of merging is right.

A day is that of UTC by Redis' clock, counted since the epoch. Nothing is ever subtracted, so what is merged twice
counts once, and what Redis has lost is written back by whoever knows it. A part has one writer, so of two versions
one has all that the other has.
https://en.wikipedia.org/wiki/Conflict-free_replicated_data_type#G-Counter_(Grow-only_Counter)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from neurolink_mitm.core.cost.budget import ClientUse, Sum

DAY = 86_400
MOST_PARTS = 2_000
"""Parts of a day that are kept: one for each start of a replica."""
MOST_CLIENTS = 1_000
"""Clients of a part that are kept; beyond that, those that came last."""
MOST_VERSION = 1 << 52
LONGEST = 256 * 1024
"""Bytes of a part in Redis."""

Version = Annotated[int, msgspec.Meta(ge=0, le=MOST_VERSION)]


class Use(msgspec.Struct, array_like=True):
    """What a client has used: USD by the price list, requests, and when it last did (seconds since the epoch)."""

    usd: Sum = 0.0
    requests: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)] = 0
    last_used_at: Sum = 0.0

    def add(self, more: Use) -> None:
        self.usd += more.usd
        self.requests += more.requests
        self.last_used_at = max(self.last_used_at, more.last_used_at)

    def raised(self, known: Use) -> bool:
        """Take over what is more in `known`. Return whether something is."""
        before = (self.usd, self.requests, self.last_used_at)
        after = tuple(map(max, before, (known.usd, known.requests, known.last_used_at)))
        self.usd, self.requests, self.last_used_at = after[0], int(after[1]), after[2]
        return before != after


class Part(msgspec.Struct, rename="camel", omit_defaults=True):
    """What one replica has spent in a day, since its start."""

    usd: Sum = 0.0
    clients: dict[str, Use] = msgspec.field(default_factory=dict)
    before: dict[str, Use] = msgspec.field(default_factory=dict)
    """What clients had used before the day, as far as the replica knows."""

    def raised(self, known: Part) -> bool:
        """Take over what is more in `known`. Return whether something is."""
        usd, self.usd = self.usd, max(self.usd, known.usd)
        return _raise(self.clients, known.clients) or usd != self.usd


class Record(msgspec.Struct, rename="camel", omit_defaults=True):
    """A day as the file of a home has it."""

    day: Annotated[int, msgspec.Meta(ge=0, le=10**7)] = 0
    parts: dict[str, Part] = msgspec.field(default_factory=dict)
    versions: dict[str, Version] = msgspec.field(default_factory=dict)
    before: dict[str, Use] = msgspec.field(default_factory=dict)
    replicas: Annotated[int, msgspec.Meta(ge=1, le=10**6)] = 1
    """How many there were when Redis was last there."""


class Daybook:
    """The parts of the day. `own` is that of this replica."""

    def __init__(self, replica_id: str, day: int) -> None:
        self.id, self.day = replica_id, day
        self.own = Part()
        self.parts: dict[str, Part] = {replica_id: self.own}
        self.versions: dict[str, int] = {replica_id: 0}
        self.before: dict[str, Use] = {}
        """What each client had used before the day."""

    def book(self, usd: float, client: str | None, use: Use) -> None:
        """Add a request of this replica."""
        self.own.usd += usd
        if client:
            self.own.clients.setdefault(client, Use()).add(use)
            bound(self.own.clients)
        self.versions[self.id] += 1

    def merge(self, part_id: str, version: int, known: Part) -> bool:
        """Take over what is known of a part. Return whether that changes a sum."""
        if part_id not in self.parts and len(self.parts) >= MOST_PARTS:
            return False
        bound(known.clients)
        part = self.parts.setdefault(part_id, Part())
        changed = part.raised(known)
        newer = part.usd != known.usd or part.clients != known.clients
        ours = self.versions.get(part_id, 0)
        self.versions[part_id] = max(ours, min(version + newer, MOST_VERSION))
        return self.raise_before(known.before) or changed

    def raise_before(self, known: Mapping[str, Use]) -> bool:
        return _raise(self.before, known)

    def roll(self, day: int) -> bool:
        """Begin `day`. Return whether it is another one.

        What was booked under a clock that was ahead counts for the earlier day.
        """
        if day == self.day:
            return False
        if day > self.day:
            self.before = {name: use for name, use, _ in self.clients()}
            self.own = Part()
            self.parts = {self.id: self.own}
            self.versions = {self.id: self.versions[self.id] + 1}
        self.day = day
        return True

    @property
    def usd(self) -> float:
        return sum(part.usd for part in self.parts.values())

    def clients(self) -> Iterator[tuple[str, Use, float]]:
        """Yield of each client what it has used in all, and the USD of today."""
        today: dict[str, Use] = {}
        for part in self.parts.values():
            for name, use in part.clients.items():
                today.setdefault(name, Use()).add(use)
        for name in {**self.before, **today}:
            whole, of_today = Use(), today.get(name, Use())
            for use in (self.before.get(name, Use()), of_today):
                whole.add(use)
            yield name, whole, of_today.usd

    def uses(self) -> dict[str, ClientUse]:
        """Return the use of each client, as the budget has it."""
        return {
            name: ClientUse(today, whole.usd, whole.requests, whole.last_used_at)
            for name, whole, today in self.clients()
        }

    def written(self, part_id: str) -> bytes:
        """Return a part as Redis has it."""
        part = self.parts[part_id]
        before = self.before if part is self.own else {}
        text = msgspec.json.encode(Part(part.usd, part.clients, before))
        return text if len(text) <= LONGEST else msgspec.json.encode(Part(part.usd, part.clients))

    def record(self, replicas: int) -> Record:
        spent = {each: part for each, part in self.parts.items() if part.usd or part.clients}
        return Record(self.day, spent, self.versions, self.before, replicas)

    def take(self, record: Record) -> bool:
        """Take over what a file has of the same day. Return whether that changes a sum."""
        if record.day != self.day:
            return False
        changed = self.raise_before(record.before)
        for part_id, part in record.parts.items():
            version = record.versions.get(part_id, 1)
            changed = self.merge(part_id, version, part) or changed
        return changed

    def join(self, part_id: str, home: Home) -> None:
        """Take over what a home has spent, as the part `part_id` what it spent without the cluster."""
        of_home = Daybook("", self.day)
        of_home.take(home.record)
        known = {name: (use, today) for name, use, today in of_home.clients()}
        surplus = Part(max(0.0, home.usd - of_home.usd) if home.is_today else 0.0)
        for name, use in home.clients.items():
            whole, today = known.get(name, (Use(), 0.0))
            more = max(0.0, use.today_usd - today) if home.is_today else 0.0
            if more:
                surplus.clients[name] = Use(more, 0, use.last_used_at)
            earlier = of_home.before.setdefault(name, Use())
            earlier.usd += max(0.0, use.total_usd - whole.usd - more)
            earlier.requests += max(0, use.requests - whole.requests)
            earlier.last_used_at = max(earlier.last_used_at, use.last_used_at)
        if surplus.usd or surplus.clients:
            of_home.merge(part_id, 1, surplus)
        self.take(of_home.record(1))
        if self.before:
            self.versions[self.id] += 1  # others may not know of it


@dataclass(frozen=True, slots=True)
class Home:
    """What the file of a home has: sums, and the cluster's day that is among them."""

    usd: float
    clients: Mapping[str, ClientUse]
    is_today: bool
    """Whether the sums are of today."""
    record: Record


def bound(clients: dict[str, Use]) -> None:
    """Drop those that came first of more than `MOST_CLIENTS`."""
    if (over := len(clients) - MOST_CLIENTS) > 0:
        for name in sorted(clients, key=lambda name: clients[name].last_used_at)[:over]:
            del clients[name]


def _raise(ours: dict[str, Use], known: Mapping[str, Use]) -> bool:
    changed = False
    for name, use in known.items():
        changed = ours.setdefault(name, Use()).raised(use) or changed
    bound(ours)
    return changed
