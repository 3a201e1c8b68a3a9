from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from neurolink_mitm.core.logs.end_times import end_after, end_at

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(text: str, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


NOON = at("2026-11-29T12:00")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90), ("30m", 1800), ("5min", 300), ("2h", 7200), ("1h30m", 5400), ("1.5H", 5400),
        ("7d", 604800), ("1 w", 604800),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert end_after(text, NOON) == NOON + seconds


@pytest.mark.parametrize(
    "text", ["", "2", "h", "-2h", "0h", "2x", "1e308h", "nan", "999999999w", "2h!", "٢h"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|no time at all|too long"):
        end_after(text, NOON)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("18:00", "2026-11-29T18:00"),
        ("09:00", "2026-11-30T09:00"),
        ("12:00", "2026-11-30T12:00"),
        ("7:05:30", "2026-11-30T07:05:30"),
        ("2026-12-01", "2026-12-01T00:00"),
        ("2026-12-01 9:30".replace(" 9", "T09"), "2026-12-01T09:30"),
        ("2026-11-29T18:00Z", "2026-11-29T19:00"),
    ],
)
def test_moments(text: str, end: str) -> None:
    assert end_at(text, NOON) == at(end)


@pytest.mark.parametrize(
    "text", ["", "25:00", "18:60", "6pm", "2026-11-28", "2026-11-29T12:00", "2026-02-30", "9999999"]
)
def test_what_is_no_time_to_come_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no time|has passed"):
        end_at(text, NOON)


def test_an_hour_of_a_day_of_25_hours_or_23() -> None:
    """By the calendar; of an hour that comes twice the next one, of one that is left out the one after."""
    assert end_at("12:00", at("2026-10-24T13:00")) == at("2026-10-25T12:00")
    assert end_at("02:30", at("2026-10-25T01:00")) == at("2026-10-25T02:30")
    assert end_at("02:30", at("2026-10-25T02:45")) == at("2026-10-25T02:30", fold=1)
    assert end_at("02:30", at("2026-03-29T01:00")) == at("2026-03-29T03:30")
