from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.pool.token_bucket import TokenBucket
from tests.fakes import NOW


def emptied(rate: int, now: float = NOW) -> TokenBucket:
    bucket = TokenBucket.full(rate, now)
    for _ in range(rate):
        assert bucket.wait(now) == 0
        bucket.take(now)
    return bucket


@pytest.mark.parametrize("rate", [1, 3, 60])
def test_a_minutes_worth_at_once_and_no_more(rate: int) -> None:
    assert emptied(rate).wait(NOW) == pytest.approx(60 / rate)


@pytest.mark.parametrize(("rate", "seconds"), [(1, 60), (2, 30), (60, 1), (120, 0.5)])
def test_tokens_come_evenly(rate: int, seconds: float) -> None:
    bucket = emptied(rate)
    assert bucket.wait(NOW + seconds * 0.5) == pytest.approx(seconds * 0.5)
    assert bucket.wait(NOW + seconds * 1.001) == 0


def test_asking_takes_nothing() -> None:
    bucket = TokenBucket.full(1, NOW)
    assert [bucket.wait(NOW) for _ in range(3)] == [0, 0, 0]


def test_it_never_holds_more_than_a_minutes_worth() -> None:
    bucket = emptied(2)
    bucket.take(NOW + 1e6)
    bucket.take(NOW + 1e6)
    assert bucket.wait(NOW + 1e6) == pytest.approx(30)


def test_what_is_taken_on_credit_is_waited_for() -> None:
    bucket = emptied(60)
    bucket.take(NOW)
    assert bucket.wait(NOW) == pytest.approx(2)


def test_a_clock_that_was_set_back_fills_nothing() -> None:
    bucket = emptied(60)
    assert bucket.wait(NOW - 3600) == pytest.approx(1)


def test_and_time_goes_on_from_there() -> None:
    bucket = emptied(60)
    bucket.wait(NOW - 3600)
    assert bucket.wait(NOW - 3600 + 1.5) == 0


rates = st.integers(1, 600)


steps = st.lists(st.floats(0, 90), min_size=1, max_size=60)


@given(rates, steps)
def test_no_more_than_its_rate_and_what_it_held(rate: int, passed: list[float]) -> None:
    """A caller that waits its turn sends no more than a full bucket and what has dripped since."""
    bucket, now, taken = TokenBucket.full(rate, NOW), NOW, 0
    for step in passed:
        now += step
        if bucket.wait(now) == 0:
            bucket.take(now)
            taken += 1
        assert taken <= rate + (now - NOW) * rate / 60 + 1e-6


@given(rates, steps)
def test_after_the_wait_there_is_a_token(rate: int, passed: list[float]) -> None:
    """The wait in whole seconds, as Retry-After tells it."""
    bucket, now = TokenBucket.full(rate, NOW), NOW
    for step in passed:
        now += step
        wait = bucket.wait(now)
        assert 0 <= wait <= 60
        now += math.ceil(wait)
        assert bucket.wait(now) == pytest.approx(0, abs=1e-5)
        bucket.take(now)
