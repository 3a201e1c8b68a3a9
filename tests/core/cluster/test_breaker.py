"""When the breaker before Redis opens, whom it lets through, and when it closes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.cluster.breaker import (
    LONGEST_TIMEOUTS,
    MOST_ERRORS,
    PROBE_EVERY,
    PROBE_EVERY_AT_MOST,
    PROBE_LOST,
    STEADY,
    Breaker,
    Call,
    State,
)


def hard(breaker: Breaker, now: float, call: Call = Call.ORDINARY) -> bool:
    return breaker.failed(call, now, "refused", timeout=False)


def timeout(breaker: Breaker, now: float, call: Call = Call.ORDINARY) -> bool:
    return breaker.failed(call, now, "time-out", timeout=True)


def opened(now: float = 100.0) -> Breaker:
    breaker = Breaker()
    assert [hard(breaker, now) for _ in range(MOST_ERRORS)] == [False] * (MOST_ERRORS - 1) + [True]
    return breaker


def test_hard_errors_in_a_row_open_it() -> None:
    breaker = Breaker()
    for _ in range(MOST_ERRORS - 1):
        assert not hard(breaker, 1.0)
    breaker.succeeded(1.0)
    for _ in range(MOST_ERRORS - 1):
        assert not hard(breaker, 1.0)
    assert hard(breaker, 1.0)
    assert (breaker.state, breaker.reason, breaker.changed_at) == (State.OPEN, "refused", 1.0)


def test_timeouts_open_it_by_their_duration_not_their_number() -> None:
    breaker = Breaker()
    assert not any(timeout(breaker, 10.0 + n / 100) for n in range(100))
    assert not timeout(breaker, 10.0 + LONGEST_TIMEOUTS - 0.01)
    assert timeout(breaker, 10.0 + LONGEST_TIMEOUTS)


def test_an_answer_begins_the_timeouts_anew() -> None:
    breaker = Breaker()
    timeout(breaker, 10.0)
    breaker.succeeded(11.0)
    assert not timeout(breaker, 12.5)
    assert not timeout(breaker, 13.0)


def test_an_open_breaker_admits_one_probe_at_a_time() -> None:
    breaker = opened(100.0)
    assert breaker.admits(100.0 + PROBE_EVERY - 0.01) is None
    assert breaker.admits(100.0 + PROBE_EVERY) is Call.PROBE
    assert breaker.admits(100.0 + 2 * PROBE_EVERY) is None


def test_a_probe_that_fails_opens_it_again_without_a_further_line() -> None:
    breaker = opened(100.0)
    assert breaker.admits(101.0) is Call.PROBE
    assert not hard(breaker, 101.2, Call.PROBE)
    assert breaker.state is State.OPEN
    assert breaker.changed_at == 100.0
    assert breaker.admits(101.0 + PROBE_EVERY) is Call.PROBE


def test_an_answer_closes_it_once() -> None:
    breaker = opened(100.0)
    breaker.admits(101.0)
    assert breaker.succeeded(101.1)
    assert not breaker.succeeded(101.2)
    assert (breaker.admits(101.2), breaker.reason) == (Call.ORDINARY, "")


def test_a_call_from_before_it_opened_is_not_the_probe() -> None:
    breaker = opened(100.0)
    breaker.admits(101.0)
    hard(breaker, 101.1)
    breaker.abandoned(Call.ORDINARY)
    assert breaker.state is State.HALF_OPEN


def test_a_cancelled_probe_leaves_it_open() -> None:
    breaker = opened(100.0)
    breaker.admits(101.0)
    breaker.abandoned(Call.PROBE)
    assert breaker.state is State.OPEN
    assert breaker.admits(101.0 + PROBE_EVERY) is Call.PROBE


def test_a_probe_of_which_nothing_is_heard_is_made_again() -> None:
    breaker = opened(100.0)
    breaker.admits(101.0)
    assert breaker.admits(101.0 + PROBE_LOST - 0.01) is None
    assert breaker.admits(101.0 + PROBE_LOST) is Call.PROBE


def test_one_that_comes_and_goes_is_probed_less_often() -> None:
    breaker, now, pauses = Breaker(), 100.0, []
    for _ in range(6):
        for _ in range(MOST_ERRORS):
            hard(breaker, now)
        pauses.append(breaker.probe_every)
        now += breaker.probe_every
        assert breaker.admits(now) is Call.PROBE
        breaker.succeeded(now)
    assert pauses == [0.5, 1.0, 2.0, 4.0, PROBE_EVERY_AT_MOST, PROBE_EVERY_AT_MOST]
    for _ in range(MOST_ERRORS):
        hard(breaker, now + STEADY)
    assert breaker.probe_every == PROBE_EVERY


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["admits", "succeeded", "hard", "timeout", "abandoned"]),
        st.floats(0, 3, allow_nan=False),
        st.sampled_from(Call),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_happens_there_is_one_probe_at_most_and_a_way_back(steps: list[Any]) -> None:
    breaker, now, probing = Breaker(), 100.0, 0.0
    changes: list[bool] = []
    for name, passed, call in steps:
        now += passed
        if name == "admits":
            admitted = breaker.admits(now)
            if admitted is Call.PROBE:
                assert now - probing >= PROBE_EVERY
                probing = now
        elif name == "abandoned":
            breaker.abandoned(call)
        elif name == "succeeded":
            changes += [False] if breaker.succeeded(now) else []
        elif breaker.failed(call, now, "x", timeout=name == "timeout"):
            changes.append(True)
    # lines of the log come by turns: away, back, away …
    assert changes == [n % 2 == 0 for n in range(len(changes))]
    assert breaker.admits(now + PROBE_EVERY_AT_MOST) is not None
