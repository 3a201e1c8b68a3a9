from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.pool.limit_headers import limit_headers
from neurolink_mitm.core.pool.quota import Classic, Quota, parse
from neurolink_mitm.core.pool.windows import Window
from neurolink_mitm.core.request.headers import Fields
from tests.fakes import NOW, make_failure

HOUR = 3600.0
SUBSCRIPTION = """
anthropic-ratelimit-unified-status: allowed_warning
anthropic-ratelimit-unified-5h-status: allowed
anthropic-ratelimit-unified-5h-utilization: 0.35
anthropic-ratelimit-unified-5h-reset: 1760003600
anthropic-ratelimit-unified-7d-status: allowed_warning
anthropic-ratelimit-unified-7d-utilization: 0.94
anthropic-ratelimit-unified-7d-reset: 1760400000
anthropic-ratelimit-unified-fallback-percentage: 0.8
anthropic-ratelimit-unified-overage-status: rejected
anthropic-ratelimit-unified-representative-claim: seven_day
anthropic-ratelimit-unified-reset: 1760400000
content-type: application/json
"""
KEY = """
anthropic-ratelimit-requests-limit: 50
anthropic-ratelimit-requests-remaining: 49
anthropic-ratelimit-requests-reset: 2025-10-09T08:54:20Z
anthropic-ratelimit-tokens-limit: 40000
anthropic-ratelimit-tokens-remaining: 39000
anthropic-ratelimit-tokens-reset: 2025-10-09T10:54:20+02:00
anthropic-ratelimit-input-tokens-limit: 30000
anthropic-ratelimit-output-tokens-remaining: 8000
"""


def fields(lines: str) -> Fields:
    return make_failure(429, lines).headers


def quota_of(lines: str) -> Quota:
    found = parse(fields(lines), NOW)
    assert found is not None
    return found


def five_hour(utilization: str = "0.5", **more: str) -> Window | None:
    lines = {"utilization": utilization, **more}
    return quota_of(
        "\n".join(f"anthropic-ratelimit-unified-5h-{k}: {v}" for k, v in lines.items())
    ).windows.get("5h")


# --- Reading


def test_a_subscription() -> None:
    assert quota_of(SUBSCRIPTION) == Quota(
        seen_at=NOW,
        windows={
            "5h": Window(0.35, "allowed", 1760003600.0),
            "7d": Window(0.94, "allowed_warning", 1760400000.0),
        },
        status="allowed_warning",
        claim="seven_day",
        fallback=0.8,
        overage="rejected",
        reset=1760400000.0,
    )


def test_an_api_key() -> None:
    assert quota_of(KEY) == Quota(
        seen_at=NOW,
        classic={
            "requests": Classic(50, 49, NOW + 60),
            "tokens": Classic(40_000, 39_000, NOW + 60),
            "input-tokens": Classic(30_000, None, None),
            "output-tokens": Classic(None, 8000, None),
        },
    )


@pytest.mark.parametrize(
    "lines",
    ["", "content-type: text/html", "x-anthropic-ratelimit-unified-status: allowed"],
    ids=["none", "others", "not-theirs"],
)
def test_headers_that_say_nothing_of_limits(lines: str) -> None:
    assert parse(fields(lines), NOW) is None


UNIFIED = "anthropic-ratelimit-unified-"


@pytest.mark.parametrize(
    "reset",
    ["", "soon", "2025-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
     "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z"],
)  # fmt: skip
def test_a_classic_reset_that_is_no_moment_is_left_out(reset: str) -> None:
    lines = f"anthropic-ratelimit-requests-limit: 5\nanthropic-ratelimit-requests-reset: {reset}"
    assert quota_of(lines).classic == {"requests": Classic(5)}


def test_a_classic_reset_without_zone_is_utc() -> None:
    lines = KEY.replace("08:54:20Z", "08:54:20")
    assert quota_of(lines).classic["requests"].reset == NOW + 60


@pytest.mark.parametrize("line", ["requests-reset: 2025-10-09T08:54:20Z", "cats-limit: 5"])
def test_a_limit_of_which_nothing_is_known_is_left_out(line: str) -> None:
    assert quota_of(f"anthropic-ratelimit-{line}") == Quota(NOW)


names = st.sampled_from(
    [line.partition(":")[0] for line in (SUBSCRIPTION + KEY).splitlines() if line]
).map(str.encode)
numbers = st.one_of(
    *(s.map(str) for s in (st.floats(), st.floats(0, 1e13), st.integers(), st.datetimes()))
)
values = st.binary() | numbers.map(str.encode)


@given(st.lists(st.tuples(names, values)).map(tuple))
def test_no_headers_make_it_raise_and_each_time_can_be_shown(said: Fields) -> None:
    found = parse(said, NOW)
    assert (found is None) == (limit_headers(said) == {})
    if found is None:
        return
    for limit in (*found.windows.values(), *found.classic.values()):
        assert limit.reset is None or iso(limit.reset)
    for window in found.windows.values():
        used = window.utilization
        assert used is None or (used >= 0 and math.isfinite(used))


# --- Meaning

USED = Quota(NOW, {"5h": Window(0.6, "", NOW + HOUR), "7d": Window(0.2, "", NOW + 5 * HOUR)})


def test_a_window_is_gone_once_its_reset_has_passed() -> None:
    assert USED.current(NOW + HOUR - 1) == USED.windows
    assert list(USED.current(NOW + HOUR)) == ["7d"]


def test_a_window_without_reset_stays() -> None:
    assert Window(0.6).is_current(NOW + 1000 * HOUR)


@pytest.mark.parametrize(
    ("five", "seven", "fallback", "past"),
    [
        (0.49, 0.49, None, False),
        (0.5, 0.0, None, True),
        (0.0, 0.5, None, True),
        (0.79, 0.79, 0.8, False),
        (0.8, 0.0, 0.8, True),
        (0.0, 0.0, 0.0, True),
    ],
    ids=["headroom", "5h-half", "7d-half", "below-the-header's", "at-the-header's", "zero"],
)
def test_past_fallback(five: float, seven: float, fallback: float | None, past: bool) -> None:
    quota = Quota(NOW, {"5h": Window(five), "7d": Window(seven)}, fallback=fallback)
    assert quota.past_fallback(None, NOW) is past


def test_a_window_that_was_reset_is_not_past_it() -> None:
    assert USED.past_fallback(None, NOW)
    assert not USED.past_fallback(None, NOW + HOUR)


def test_an_api_key_is_never_past_it() -> None:
    assert not quota_of(KEY).past_fallback(None, NOW)


@pytest.mark.parametrize(
    ("hours", "after"), [(0, 1.0), (0.99, 1.0), (1, 5.0), (4.99, 5.0), (5, None)]
)
def test_the_next_reset(hours: float, after: float | None) -> None:
    found = USED.next_reset(None, NOW + hours * HOUR)
    assert found == (None if after is None else NOW + after * HOUR)


def test_without_windows_there_is_no_next_reset() -> None:
    assert Quota(NOW, {"7d": Window(0.5)}).next_reset(None, NOW) is None


@pytest.mark.parametrize(
    ("reset", "counts"),
    [(NOW + 60, True), (NOW + 7 * 86_400, True), (NOW - 1, False), (NOW + 18 * 86_400, False), (1e300, False)],
    ids=["soon", "a-week", "past", "18-days-ahead", "any-number"],
)  # fmt: skip
def test_a_reset_further_ahead_than_any_window_is_a_clocks_fault(
    reset: float, counts: bool
) -> None:
    quota = Quota(NOW, {"5h": Window(0.9, reset=reset)})
    assert quota.past_fallback(None, NOW) is counts
    assert quota.next_reset(None, NOW) == (reset if counts else None)
