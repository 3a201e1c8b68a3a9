"""Rate limits that replicas share: never above the limit by more than stated, whatever the order of answers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.cluster.rates import BURST, STALE, SharedRate
from tests.fakes import NOW


@dataclass
class Redis:
    """What `rates.lua` does, without a server."""

    arrival: float = 0.0

    def settle(self, rate: SharedRate, count: int, now: float) -> float:
        before = max(self.arrival, now)
        self.arrival = max(now, min(before + count * rate.interval, now + rate.most))
        return self.arrival - now


@dataclass
class Crowd:
    """Replicas of one limit, and when each of them admitted a request."""

    rate: int
    replicas: int
    redis: Redis = field(default_factory=Redis)
    admitted: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.limits = [self.new() for _ in range(self.replicas)]

    def new(self) -> SharedRate:
        return SharedRate(self.rate, lambda: self.replicas, lambda: None)

    def settle(self, n: int, now: float, *, lost: bool = False) -> None:
        limit = self.limits[n]
        count = limit.to_settle(now)
        ahead = self.redis.settle(limit, count, now)
        if not lost:
            limit.settled(count, ahead, now)

    def request(self, n: int, now: float) -> bool:
        admits = self.limits[n].wait(now) == 0
        if admits:
            self.limits[n].take(now)
            self.admitted.append(now)
        return admits

    def worst(self) -> float:
        """Return by how many requests a window had more than its length allows, at most."""
        times, interval = sorted(self.admitted), 60 / self.rate
        lowest, worst = math.inf, 0.0
        for n, at in enumerate(times):
            lowest = min(lowest, n - at / interval)
            worst = max(worst, n + 1 - at / interval - lowest)
        return worst


def shared(rate: int = 60, replicas: int = 3, now: float = NOW) -> SharedRate:
    limit = SharedRate(rate, lambda: replicas, lambda: None)
    limit.settled(0, 0.0, now)
    return limit


@pytest.mark.parametrize(("rate", "replicas"), [(60, 3), (60, 1), (1, 3), (600, 3), (7, 5)])
@pytest.mark.parametrize("demand", ["even", "one", "uneven"])
def test_under_constant_pressure_the_limit_is_used_and_kept(
    rate: int, replicas: int, demand: str
) -> None:
    crowd = Crowd(rate, replicas)
    step, minutes = 0.05, 3
    for n in range(replicas):
        crowd.settle(n, NOW)
    for turn in range(round(minutes * 60 / step)):
        now = NOW + turn * step
        n = {"even": turn, "one": 0, "uneven": turn % 10 // 7}[demand] % replicas
        crowd.request(n, now)
        crowd.settle(n, now + step / 2)
        if turn % 20 == 0:
            for each in range(replicas):
                crowd.settle(each, now + step / 2)
    expected, burst = minutes * rate, max(1, math.ceil(rate * BURST / 60))
    assert expected * 0.95 - 1 <= len(crowd.admitted) <= expected + burst + replicas - 1


@given(
    rate=st.sampled_from([1, 2, 13, 60, 600]),
    replicas=st.integers(1, 5),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["request", "settle", "lose", "restart"]),
            st.integers(0, 4),
            st.sampled_from([0.0, 0.001, 0.1, 1.0, 2.5]),
        ),
        max_size=200,
    ),
)
def test_no_window_has_more_than_a_burst_and_what_replicas_are_ahead(
    rate: int, replicas: int, steps: list[tuple[str, int, float]]
) -> None:
    crowd, now, last = Crowd(rate, replicas), NOW, [NOW] * replicas
    restarts = 0
    for n in range(replicas):
        crowd.settle(n, now)
    for what, which, passes in steps:
        now += passes
        n = which % replicas
        for each in range(replicas):  # Redis is there: nobody goes without an answer for long
            if now - last[each] > STALE - 0.5:
                crowd.settle(each, now)
                last[each] = now
        if what == "request":
            crowd.request(n, now)
        elif what == "restart":
            crowd.limits[n] = crowd.new()
            crowd.settle(n, now)
            restarts += 1
        else:
            crowd.settle(n, now, lost=what == "lose")
            last[n] = now if what == "settle" else last[n]
    burst = max(1.0, rate * BURST / 60)
    ahead = math.ceil(burst) + replicas
    assert crowd.worst() <= burst + ahead * (1 + restarts) + 1


@pytest.mark.parametrize(
    ("rate", "replicas", "each_minute"), [(60, 3, 20), (1, 3, 1), (2, 3, 1), (60, 1, 60)]
)
def test_without_redis_each_replica_has_its_share(
    rate: int, replicas: int, each_minute: int
) -> None:
    limit, now, sent = shared(rate, replicas), NOW + STALE, 0
    for _ in range(6000):
        if limit.wait(now) == 0:
            limit.take(now)
            sent += 1
        now += 0.1
    burst = max(1, math.ceil(each_minute * BURST / 60))
    assert 10 * each_minute <= sent <= 10 * each_minute + burst


def test_the_first_request_of_a_limit_nobody_has_asked_about_is_admitted() -> None:
    limit = SharedRate(1, lambda: 3, lambda: None)
    assert limit.wait(NOW) == 0


def test_it_is_settled_with_the_first_answer() -> None:
    limit = SharedRate(60, lambda: 3, lambda: None)
    limit.take(NOW)
    assert limit.to_settle(NOW + 0.01) == 1


def test_a_share_that_was_used_long_ago_is_not_settled() -> None:
    limit = shared()
    limit.take(NOW + STALE)
    assert limit.to_settle(NOW + STALE + 60) == 0


def test_asking_in_vain_while_redis_is_away_frees_nothing() -> None:
    limit, now = shared(rate=1), NOW + STALE
    limit.take(now)
    for _ in range(5):
        limit.to_settle(now)
    assert limit.wait(now) > 50


def test_what_was_not_sent_is_given_back() -> None:
    limit = shared(rate=1)
    limit.take(NOW)
    limit.give_back()
    assert (limit.wait(NOW), limit.to_settle(NOW)) == (0, 0)


def test_the_wait_is_that_of_the_next_free_request() -> None:
    limit = shared(rate=60)
    limit.settled(0, 10.0, NOW)
    assert limit.wait(NOW) == pytest.approx(10 + 1 - BURST)


@pytest.mark.parametrize("ahead", [1e9, math.inf, -1.0])
def test_news_that_are_absurd_change_nothing(ahead: float) -> None:
    limit = shared(rate=60)
    limit.heard(NOW + ahead, NOW)
    assert limit.wait(NOW) == 0


def test_a_clock_that_was_set_back_closes_nothing_for_long() -> None:
    limit = shared(rate=60)
    limit.take(NOW)
    assert limit.wait(NOW - 300) <= 2 * BURST * 3
