"""Slots of `maxConcurrent`: all replicas together never have more requests at once than the limit."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.cluster.slots import LEASE, SETTLE, Slots
from tests.fakes import NOW


@dataclass
class Redis:
    """What `slots.lua` does, without a server."""

    limit: int
    leases: dict[int, tuple[int, float, float]] = field(default_factory=dict)

    def renew(self, n: int, used: int, wanted: int, waits: bool, now: float) -> tuple[int, int]:
        there = {k: v for k, v in self.leases.items() if v[1] > now and k != n}
        queue = [since for _, _, since in there.values() if since]
        since = (self.leases.get(n, (0, 0, 0))[2] or now) if waits else 0
        if queue:
            wanted = used + waits
        free = self.limit - sum(held for held, _, _ in there.values())
        free -= sum(1 for before in queue if not since or before < since)
        held = max(used, min(wanted, free))
        self.leases[n] = (held, now + LEASE, 0 if held > used else since)
        return held, len(queue)


class Crowd:
    def __init__(self, limit: int, replicas: int) -> None:
        self.redis = Redis(limit)
        self.slots = [Slots(limit, lambda: replicas, lambda: None) for _ in range(replicas)]
        self.in_flight = [0] * replicas

    def renew(self, n: int, now: float, *, lost: bool = False) -> None:
        slots = self.slots[n]
        used, wanted, waits = slots.ask_for(self.in_flight[n], now)
        held, queue = self.redis.renew(n, used, wanted, waits, now)
        if not lost:
            slots.leased(held, self.in_flight[n], now, contended=queue > 0)

    def request(self, n: int, now: float) -> bool:
        if self.in_flight[n] >= self.slots[n].allowed(now):
            self.slots[n].ask(now)
            return False
        self.in_flight[n] += 1
        self.slots[n].began(self.in_flight[n])
        return True

    def end(self, n: int) -> None:
        if self.in_flight[n]:
            self.in_flight[n] -= 1
            self.slots[n].ended(self.in_flight[n])


@given(
    limit=st.integers(1, 12),
    replicas=st.integers(1, 4),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["request", "request", "end", "renew", "lose", "news"]),
            st.integers(0, 3),
            st.sampled_from([0.0, 0.001, 0.3, 1.0]),
        ),
        max_size=150,
    ),
)
def test_never_more_than_the_limit_while_redis_is_there(
    limit: int, replicas: int, steps: list[tuple[str, int, float]]
) -> None:
    crowd, now, last = Crowd(limit, replicas), NOW, [NOW] * replicas
    for n in range(replicas):
        crowd.renew(n, now)
    for what, which, passes in steps:
        now, n = now + passes, which % replicas
        for each in range(replicas):
            if now - last[each] > 2.0:
                crowd.renew(each, now)
                last[each] = now
        if what == "request":
            crowd.request(n, now)
        elif what == "end":
            crowd.end(n)
        elif what == "news":
            crowd.slots[n].leave(crowd.in_flight[n], now)
        else:
            crowd.renew(n, now, lost=what == "lose")
        assert sum(crowd.in_flight) <= limit


@pytest.mark.parametrize(("limit", "replicas"), [(1, 3), (2, 3), (5, 3), (1, 1)])
def test_nobody_starves(limit: int, replicas: int) -> None:
    """All want as much as they can get, for requests of 0.1 s: each gets its part."""
    crowd, served = Crowd(limit, replicas), [0] * replicas
    ends: list[tuple[float, int]] = []
    for turn in range(3000):
        now = NOW + turn * 0.01
        for at, n in [each for each in ends if each[0] <= now]:
            ends.remove((at, n))
            crowd.end(n)
        for n in range(replicas):
            while crowd.request(n, now):
                served[n] += 1
                ends.append((now + 0.1, n))
        for n in range(replicas):
            crowd.renew(n, now)
    assert sum(served) >= 0.75 * limit * 300
    assert min(served) >= 0.4 * max(served)


def test_an_idle_replica_holds_its_share() -> None:
    crowd = Crowd(10, 3)
    for n in range(3):
        crowd.renew(n, NOW)
    assert [each.held for each in crowd.slots] == [3, 3, 3]


def test_one_replica_gets_all_that_the_others_do_not_use() -> None:
    crowd = Crowd(10, 3)
    for turn in range(20):
        for n in range(3):
            crowd.renew(n, NOW + turn / 10)
        while crowd.request(0, NOW + turn / 10):
            pass
        for each in crowd.slots[1:]:
            each.leave(0, NOW + turn / 10)
    assert crowd.in_flight == [10, 0, 0]


@pytest.mark.parametrize(("limit", "share"), [(10, 3), (3, 1), (1, 1)])
def test_without_redis_each_replica_has_its_share(limit: int, share: int) -> None:
    slots = Slots(limit, lambda: 3, lambda: None)
    slots.leased(limit, 0, NOW, contended=False)
    assert (slots.allowed(NOW + 1), slots.allowed(NOW + LEASE)) == (limit, share)


def test_the_slot_of_a_request_that_waited_is_kept_for_it() -> None:
    slots = Slots(1, lambda: 2, lambda: None)
    slots.ask(NOW)
    slots.leased(1, 0, NOW, contended=True)
    slots.leave(0, NOW + SETTLE / 2)
    assert slots.allowed(NOW + SETTLE / 2) == 1
    slots.ask_for(0, NOW + SETTLE * 2)
    assert slots.allowed(NOW + SETTLE * 2) == 0


@pytest.mark.parametrize("held", [-5, 10**9])
def test_an_absurd_answer_stays_within_the_limit(held: int) -> None:
    slots = Slots(3, lambda: 2, lambda: None)
    slots.leased(held, 0, NOW, contended=False)
    assert 0 <= slots.allowed(NOW) <= 3


def test_a_replica_that_waits_asks_for_a_slot_though_others_wait_too() -> None:
    slots = Slots(1, lambda: 2, lambda: None)
    slots.leased(0, 0, NOW, contended=True)
    slots.ask(NOW)
    assert slots.ask_for(0, NOW) == (0, 1, True)
