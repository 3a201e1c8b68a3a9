from __future__ import annotations

import math
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.logs.reset_times import countdown, reset_time

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


NOW = at("2026-11-24T14:35")  # a Tuesday


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        ("2026-11-24T16:40", "16:40 CET (in 2h5m)"),
        ("2026-11-24T14:35:20", "14:35 CET (in 20s)"),
        ("2026-11-25T00:00", "Wed 00:00 CET (in 9h25m)"),
        ("2026-11-30T09:00", "Mon 09:00 CET (in 5d19h)"),
        ("2026-12-01T14:35", "1 Dec 14:35 CET (in 7d)"),
        ("2027-06-01T10:00", "1 Jun 2027 10:00 CEST (in 188d19h)"),
        ("2026-11-24T13:00", "13:00 CET"),
        ("2026-11-23T13:00", "23 Nov 13:00 CET"),
    ],
    ids=["today", "soon", "midnight", "this week", "in a week", "next year", "past", "yesterday"],
)
def test_a_reset(moment: str, words: str) -> None:
    assert reset_time(at(moment), NOW, BERLIN) == words


def test_the_hour_that_comes_twice() -> None:
    """Zone and countdown tell what the clock does not."""
    before = at("2026-10-25T01:30")
    first = at("2026-10-25T02:30")
    assert reset_time(first, before, BERLIN) == "02:30 CEST (in 1h0m)"
    assert reset_time(first + 3600, before, BERLIN) == "02:30 CET (in 2h0m)"


@pytest.mark.usefixtures("in_kolkata")
def test_the_zone_of_this_machine() -> None:
    assert reset_time(NOW + 60, NOW) == "19:06 IST (in 1m)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "1s"), (0.2, "1s"), (59.4, "59s"), (59.6, "1m"), (61, "2m"), (3600, "1h0m"), (7500, "2h5m"),
     (86_399, "1d"), (90_000, "1d1h"), (math.nan, "1s"), (math.inf, "3650d")],
)  # fmt: skip
def test_a_countdown(seconds: float, text: str) -> None:
    assert countdown(seconds) == text


@given(st.floats(), st.floats())
def test_any_number_is_some_time(moment: float, now: float) -> None:
    assert len(reset_time(moment, now, BERLIN)) < 40
