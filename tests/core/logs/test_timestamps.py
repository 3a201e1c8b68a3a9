from __future__ import annotations

from datetime import UTC, datetime

import pytest

from neurolink_mitm.core.logs import timestamps as when
from neurolink_mitm.core.logs.timestamps import parse_time

NOW = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("90s", "2026-11-23T10:28:30"),
        ("30m", "2026-11-23T10:00:00"),
        ("30 min", "2026-11-23T10:00:00"),
        ("1.5h", "2026-11-23T09:00:00"),
        ("2d", "2026-11-21T10:30:00"),
        ("1w", "2026-11-16T10:30:00"),
        ("now", "2026-11-23T10:30:00"),
        ("today", "2026-11-23T00:00:00"),
        ("Yesterday", "2026-11-22T00:00:00"),
        ("2026-11-20", "2026-11-20T00:00:00"),
        ("2026-11-20T08:15", "2026-11-20T08:15:00"),
        ("2026-11-20T08:15+02:00", "2026-11-20T06:15:00"),
        ("2026-11-20T08:15:00Z", "2026-11-20T08:15:00"),
    ],
)
def test_moments(text: str, found: str) -> None:
    assert datetime.fromtimestamp(parse_time(text, NOW.timestamp()), UTC).isoformat()[:19] == found


@pytest.mark.parametrize("text", ["", "soon", "5", "-3h", "2026-13-01", "h"])
def test_what_is_no_time_is_refused_with_what_is_one(text: str) -> None:
    with pytest.raises(ValueError, match="write it as 30m"):
        parse_time(text, NOW.timestamp())


@pytest.mark.usefixtures("in_kolkata")
@pytest.mark.parametrize(
    "told", ["2026-11-28T13:05:59.123Z", "2026-11-28T14:05:59+01:00", 1795871159.9]
)
def test_a_moment_is_told_in_the_readers_zone_and_marked(told: str | float) -> None:
    assert when.local_time(told) == "18:35:59 IST"
    assert when.local_date_time(told) == "2026-11-28 18:35:59 IST"


@pytest.mark.usefixtures("in_kolkata")
def test_what_names_no_zone_is_meant_in_the_readers() -> None:
    now = datetime(2026, 11, 23, 20, 0, tzinfo=UTC).timestamp()  # the 24th in Kolkata
    assert parse_time("today", now) == datetime(2026, 11, 23, 18, 30, tzinfo=UTC).timestamp()
    assert parse_time("2026-11-24", now) == parse_time("today", now)


@pytest.mark.usefixtures("in_kolkata")
@pytest.mark.parametrize(
    ("minute", "found"),
    [
        ("2026-11-28T18:29", ("2026-11-28", "23")),
        ("2026-11-28T18:30", ("2026-11-29", "00")),
        ("9999-12-31T23:59", ("9999-12-31", "23")),
        ("soon", ("soon", "")),
    ],
)
def test_the_day_and_hour_of_a_row(minute: str, found: tuple[str, str]) -> None:
    when.local_hour.cache_clear()
    assert when.local_hour(minute) == found
    when.local_hour.cache_clear()
