from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.settings.quiet import QuietHours


def quiet(text: str, at: str) -> bool:
    return QuietHours.parse(text).covers(datetime.fromisoformat(f"2026-11-29T{at}"))


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("22:00-07:00", ("22:00", "23:59", "00:00", "06:59:59"), ("07:00", "12:00", "21:59")),
        ("12:00-13:30", ("12:00", "13:29"), ("11:59", "13:30", "00:00")),
        (" 9:00 - 24:00 ", ("09:00", "23:59"), ("00:00", "08:59")),
        ("00:00-06:00", ("00:00", "05:59"), ("06:00", "23:59")),
    ],
    ids=["across midnight", "noon", "until midnight", "from midnight"],
)
def test_the_begin_is_quiet_and_the_end_is_not(
    text: str, inside: tuple[str, ...], outside: tuple[str, ...]
) -> None:
    assert all(quiet(text, at) for at in inside)
    assert not any(quiet(text, at) for at in outside)


def test_summer_time_moves_nothing() -> None:
    """03:00 to 02:00 comes twice, and 02:00 to 03:00 is left out: the clock on the wall counts."""
    berlin = ZoneInfo("Europe/Berlin")
    hours = QuietHours.parse("22:00-07:00")
    ends = [
        datetime(2026, month, day, 5, tzinfo=ZoneInfo("UTC")) for month, day in ((3, 28), (3, 29))
    ]
    assert [hours.covers(at.astimezone(berlin)) for at in ends] == [True, False]


@pytest.mark.parametrize(
    "text",
    [
        "22-07",
        "22:00",
        "25:00-07:00",
        "22:60-07:00",
        "22:00-07:00-08:00",
        "24:01-07:00",
        "٢٢:00-07:00",
        "",
    ],
)
def test_what_is_no_time_of_day(text: str) -> None:
    with pytest.raises(ValueError, match="must be two times of the day, such as"):
        QuietHours.parse(text)


@pytest.mark.parametrize("text", ["07:00-07:00", "00:00-24:00"])
def test_hours_without_a_length(text: str) -> None:
    with pytest.raises(ValueError, match="two different times"):
        QuietHours.parse(text)


minutes = st.integers(0, 24 * 60 - 1)


@given(minutes, minutes, minutes)
def test_the_hours_turned_round_are_the_rest_of_the_day(begin: int, end: int, minute: int) -> None:
    at = datetime(2026, 11, 29, minute // 60, minute % 60)
    both = [QuietHours(*hours).covers(at) for hours in ((begin, end), (end, begin))]
    assert begin == end or both.count(True) == 1
