"""Parses and formats times in the local zone. Files hold UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from functools import lru_cache

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)")
SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
"""Of the units in which durations are typed."""
FIRST, LAST = -62_135_596_800.0, 253_402_300_799.0
"""Seconds since the epoch: the first and the last second of `datetime`, in the years 1 and 9999."""
FORMS = "30m, 2h, 7d, today, yesterday, 2026-11-22 or 2026-11-22T10:00"


def parse_time(text: str, now: float) -> float:
    """Return the seconds since the epoch of a time in `FORMS`, local unless it names a zone. Raises `ValueError`."""
    text = text.strip().lower()
    if match := _AGO.fullmatch(text):
        return now - float(match[1]) * SECONDS[match[2]]
    if text == "now":
        return now
    if text in ("today", "yesterday"):
        day = datetime.fromtimestamp(now) - timedelta(days=text == "yesterday")
        return day.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    try:
        return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError) as e:
        raise ValueError(f"{text!r:.40} is no time: write it as {FORMS}") from e


def local_time(moment: str | float) -> str:
    """Return the local time of day: `13:05:59 CET`. `moment` is ISO 8601, or seconds since the epoch."""
    return f"{_local(moment):%H:%M:%S %Z}"


def local_date_time(moment: str | float) -> str:
    """Return the local date and time: `2026-11-22 13:05:59 CET`."""
    return f"{_local(moment):%Y-%m-%d %H:%M:%S %Z}"


def local_zone(now: float) -> str:
    """Return the name of the local zone: `CET`."""
    return f"{_local(now):%Z}"


def next_midnight(now: float) -> float:
    """Return the next local midnight, by the calendar: not every day has 24 hours."""
    tomorrow = datetime.fromtimestamp(now).date() + timedelta(days=1)
    return datetime.combine(tomorrow, clock.min).timestamp()


@lru_cache(maxsize=4096)
def local_hour(minute: str) -> tuple[str, str]:
    """Return the local day and hour of a minute in UTC, `2026-11-22T13:05`; of any other text, its own."""
    try:
        local = _in_zone(datetime.fromisoformat(f"{minute}:00+00:00"))
    except ValueError:
        return minute[:10], minute[11:13]
    text = local.isoformat()  # %Y of the year 125 has three digits
    return text[:10], text[11:13]


def seconds(timestamp: str) -> float:
    """Return the seconds since the epoch of an ISO 8601 timestamp."""
    return datetime.fromisoformat(timestamp).timestamp()


def _local(moment: str | float) -> datetime:
    if isinstance(moment, str):
        return _in_zone(datetime.fromisoformat(moment))
    return _in_zone(datetime.fromtimestamp(min(max(moment, FIRST), LAST), UTC))


def _in_zone(moment: datetime) -> datetime:
    """Convert to the local zone; at the ends of the calendar, where that fails, keep the zone."""
    try:
        return moment.astimezone()
    except (OverflowError, ValueError):
        return moment
