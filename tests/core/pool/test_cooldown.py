from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.failover.errors import CooldownKind
from neurolink_mitm.core.pool.cooldown import (
    BACKOFF_CAP,
    LONG_COOLDOWN,
    Cooldown,
    after_failure,
    after_success,
    backoff_duration,
    in_bounds,
    shifted,
)
from tests.fakes import NOW


def limited(
    state: Cooldown, now: float, sent_at: float | None = None, base: float | None = None
) -> Cooldown:
    """After a 429, to a request that was sent right then unless it says otherwise."""
    sent = now if sent_at is None else sent_at
    return after_failure(
        state, CooldownKind.BACKOFF, base=base, sent_at=sent, now=now, reason="rate limit"
    )


def refused(state: Cooldown, now: float, sent_at: float | None = None) -> Cooldown:
    """After a 401."""
    sent = now if sent_at is None else sent_at
    return after_failure(
        state, CooldownKind.LONG, base=None, sent_at=sent, now=now, reason="refused"
    )


# --- How long


@pytest.mark.parametrize(
    ("base", "level", "seconds"),
    [
        (None, 0, 1),
        (None, 1, 2),
        (None, 5, 32),
        (None, 9, 512),
        (None, 10, 600),
        (None, 10**6, 600),
        (2, 0, 2),
        (2, 3, 16),
        (0.5, 1, 1),
        (600, 0, 600),
        (51_811, 0, 600),
        (1e308, 40, 600),
        (0, 8, 0),
    ],
)
def test_duration(base: float | None, level: int, seconds: float) -> None:
    """min(base * 2^level, 600), and a second where upstream says nothing."""
    assert backoff_duration(base, level) == seconds


@given(st.none() | st.floats(0, 1000), st.integers(1, 14))
def test_each_cooldown_in_a_row_is_twice_as_long(base: float | None, times: int) -> None:
    state, now = Cooldown(), NOW
    for level in range(times):
        now = state.until + 1
        state = limited(state, now, base=base)
        assert state.level == level + 1
        expected = min((1.0 if base is None else base) * 2**level, 600)
        assert state.until - now == pytest.approx(expected, abs=1e-6)


def test_retry_after_is_doubled_too() -> None:
    """Upstream has said so before, and was wrong."""
    first = limited(Cooldown(), NOW, base=30)
    second = limited(first, NOW + 30, base=30)
    assert (first.until, second.until) == (NOW + 30, NOW + 30 + 60)


def test_what_upstream_will_not_have_is_left_alone_for_five_minutes() -> None:
    state = refused(Cooldown(), NOW)
    assert state == Cooldown(level=0, began=NOW, until=NOW + 300, reason="refused", whole=True)


def test_a_limit_that_is_told_meanwhile_leaves_the_refusal_in_force() -> None:
    """A request was under way when the account was refused."""
    assert limited(refused(Cooldown(), NOW), NOW + 1).whole


def test_a_limit_after_it_is_no_refusal() -> None:
    assert not limited(refused(Cooldown(), NOW), NOW + 301).whole


def test_five_minutes_each_time() -> None:
    state = refused(refused(Cooldown(), NOW), NOW + 300)
    assert state.until == NOW + 600


def test_a_failure_without_a_cooldown_changes_nothing() -> None:
    state = limited(Cooldown(), NOW)
    args = {"base": 9.0, "sent_at": NOW + 5, "now": NOW + 5, "reason": "x"}
    assert after_failure(state, CooldownKind.NONE, **args) is state


def test_it_is_over_at_its_end() -> None:
    state = limited(Cooldown(), NOW, base=10)
    assert [state.cooling(NOW + s) for s in (0, 9.99, 10, 11)] == [True, True, False, False]


def test_nothing_cools_at_first() -> None:
    assert not Cooldown().cooling(NOW)


def test_the_last_reason_is_kept() -> None:
    assert refused(limited(Cooldown(), NOW), NOW).reason == "refused"


# --- One escalation a window


@given(st.integers(1, 60), st.lists(st.floats(0, 20), min_size=1, max_size=20))
def test_requests_in_flight_escalate_once(level: int, sent_before: list[float]) -> None:
    """However many of them fail, and however late, while the cooldown lasts or after it."""
    state = Cooldown(level=level - 1, began=NOW - 9999, until=NOW - 9999)
    state = first = limited(state, NOW, sent_at=NOW - 1)
    for later, before in enumerate(sent_before):
        state = limited(state, NOW + later, sent_at=NOW - before)
    assert (state.level, state.began) == (first.level, first.began) == (level, NOW)


def test_a_request_sent_in_the_window_s_first_instant_belongs_to_it() -> None:
    state = limited(limited(Cooldown(), NOW), NOW, sent_at=NOW)
    assert state.level == 1


def test_the_first_request_of_the_next_window_escalates() -> None:
    state = limited(limited(Cooldown(), NOW), NOW + 2, sent_at=NOW + 1.5)
    assert (state.level, state.began, state.until) == (2, NOW + 2, NOW + 4)


def test_a_request_of_a_replica_that_had_not_heard_of_it_escalates_nothing() -> None:
    """It was sent while the cooldown ran, which a single process never does."""
    state = limited(limited(Cooldown(), NOW, base=10), NOW + 1, sent_at=NOW + 0.5, base=10)
    assert (state.level, state.began, state.until) == (1, NOW, NOW + 11)


def test_the_probe_escalates_though_the_replica_s_clock_is_a_little_behind() -> None:
    state = limited(limited(Cooldown(), NOW, base=10), NOW + 11, sent_at=NOW + 9.97)
    assert state.level == 2


def test_requests_in_flight_may_lengthen_it() -> None:
    """Upstream knows better now; at the same level."""
    state = limited(limited(Cooldown(), NOW, base=1), NOW + 1, sent_at=NOW - 1, base=60)
    assert (state.level, state.until) == (1, NOW + 61)


def test_requests_in_flight_do_not_shorten_it() -> None:
    state = limited(limited(Cooldown(), NOW, base=60), NOW + 1, sent_at=NOW - 1, base=1)
    assert state.until == NOW + 60


def test_a_refused_credential_does_not_escalate() -> None:
    """Levels count rate limits; the next one still knows how often there were some before."""
    limit = limited(limited(Cooldown(), NOW), NOW + 1)
    state = refused(limit, NOW + 5)
    assert state.level == limit.level == 2
    assert limited(state, NOW + 400).until == NOW + 404


def test_a_long_cooldown_does_not_end_a_longer_limit() -> None:
    state = refused(limited(Cooldown(), NOW, base=600), NOW + 1)
    assert state.until == NOW + 600


def test_a_short_limit_does_not_end_a_long_cooldown() -> None:
    state = limited(refused(Cooldown(), NOW), NOW + 1, base=2)
    assert state.until == NOW + 300


# --- Any sequence of failures

failures = st.lists(
    st.tuples(
        st.floats(0, 700),  # after the one before
        st.floats(0, 2000),  # sent so long before it failed
        st.sampled_from(CooldownKind),
        st.none() | st.floats(0, 1e6),
    ),
    max_size=30,
)


@given(failures)
def test_a_cooldown_never_shrinks_while_failing_and_never_exceeds_the_cap(
    happened: list[tuple[float, float, CooldownKind, float | None]],
) -> None:
    state, now = Cooldown(), NOW
    for passed, under_way, kind, base in happened:
        now += passed
        before = state
        state = after_failure(before, kind, base=base, sent_at=now - under_way, now=now, reason="x")
        assert before.until <= max(state.until, before.until) == state.until
        assert state.until - now <= BACKOFF_CAP
        assert before.level <= state.level <= before.level + 1
        assert before.began <= state.began


# --- Success


def test_success_clears_level_and_cooldown() -> None:
    state = limited(limited(Cooldown(), NOW), NOW + 1)
    assert after_success(state, sent_at=NOW + 10) == Cooldown()


@pytest.mark.parametrize("sent_at", [NOW - 1, NOW], ids=["before", "at-that-instant"])
@pytest.mark.parametrize("fail", [limited, refused], ids=["limited", "refused"])
def test_a_request_from_before_the_cooldown_proves_nothing(
    fail: Callable[[Cooldown, float], Cooldown], sent_at: float
) -> None:
    state = fail(Cooldown(), NOW)
    assert after_success(state, sent_at=sent_at) is state


@given(failures, st.floats(-5000, 5000))
def test_success_clears_all_or_nothing(
    happened: list[tuple[float, float, CooldownKind, float | None]], sent: float
) -> None:
    state, now = Cooldown(), NOW
    for passed, under_way, kind, base in happened:
        now += passed
        state = after_failure(state, kind, base=base, sent_at=now - under_way, now=now, reason="x")
    cleared = after_success(state, sent_at=NOW + sent)
    assert cleared == (Cooldown() if NOW + sent > state.began else state)


# --- Clocks that are wrong

DAY = 86_400.0


@pytest.mark.parametrize(
    ("began", "until", "level", "left"),
    [
        pytest.param(-10, 20, 1, 20, id="as-it-should-be"),
        pytest.param(1, 31, 1, 31, id="a-second-off"),
        pytest.param(18 * DAY, 18 * DAY + 40, 1, 40, id="written-18-days-ahead"),
        pytest.param(-10, 18 * DAY, 3, BACKOFF_CAP, id="ends-in-18-days"),
        pytest.param(-10, 18 * DAY, 0, LONG_COOLDOWN, id="refused-until-in-18-days"),
        pytest.param(DAY, DAY, 1, 0, id="ahead-without-length"),
        pytest.param(-DAY, -DAY + 30, 1, -DAY + 30, id="over"),
        pytest.param(0, 1e300, 10**9, BACKOFF_CAP, id="any-number"),
    ],
)
def test_none_lasts_longer_than_one_that_begins_now(
    began: float, until: float, level: int, left: float
) -> None:
    state = Cooldown(level, NOW + began, NOW + until, "r")
    assert in_bounds(state, NOW).until - NOW == pytest.approx(left)


@given(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12), st.integers(0, 50), st.booleans())
def test_whatever_a_file_says(began: float, until: float, level: int, whole: bool) -> None:
    found = in_bounds(Cooldown(level, began, until, "r", whole), NOW)
    assert found.until <= NOW + BACKOFF_CAP + 3
    assert in_bounds(found, NOW) == found


def test_it_moves_with_the_clock() -> None:
    state = limited(Cooldown(), NOW, base=30)
    set_back = shifted(state, -DAY)
    assert set_back.cooling(NOW - DAY + 29)
    assert not set_back.cooling(NOW - DAY + 30)
