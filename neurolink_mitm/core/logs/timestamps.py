"""Moments as people write and read them: in the reader's zone, and marked with its name. Files hold UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
FIRST, LAST = -62_135_596_800.0, 253_402_300_799.0
"""Seconds: the years 1 and 9999, between which there are dates."""
FORMS = "30m, 2h, 7d, today, yesterday, 2026-11-22 or 2026-11-22T10:00"


def moment(text: str, now: float) -> float:
    """Seconds since the epoch; what names no zone is in the reader's. Raises `ValueError`."""
    text = text.strip().lower()
    if match := _AGO.fullmatch(text):
        return now - float(match[1]) * _SECONDS[match[2]]
    if text == "now":
        return now
    if text in ("today", "yesterday"):
        day = datetime.fromtimestamp(now) - timedelta(days=text == "yesterday")
        return day.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    try:
        return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError) as e:
        raise ValueError(f"{text!r:.40} is no time: write it as {FORMS}") from e


def local_time(moment: str | float, *, seconds: bool = True) -> str:
    """The time of day: `13:05:59 CET`, `13:05 CET`. `moment` is in the form of ISO 8601, or seconds since the epoch."""
    found = _local(moment)
    return f"{found:%H:%M:%S %Z}" if seconds else f"{found:%H:%M %Z}"


def local_date_time(moment: str | float) -> str:
    """`2026-11-22 13:05:59 CET`."""
    return f"{_local(moment):%Y-%m-%d %H:%M:%S %Z}"


def local_zone(now: float) -> str:
    """The name of the reader's zone: `CET`."""
    return f"{_local(now):%Z}"


@lru_cache(maxsize=4096)
def local_hour(minute: str) -> tuple[str, str]:
    """Day and hour in the reader's zone of a row's moment, by its minute: `2026-11-22T13:05` (UTC).

    What is no moment stays as it is.
    """
    try:
        found = _in_zone(datetime.fromisoformat(f"{minute}:00+00:00"))
    except ValueError:
        return minute[:10], minute[11:13]
    return f"{found:%Y-%m-%d}", f"{found:%H}"


def _local(moment: str | float) -> datetime:
    if isinstance(moment, str):
        return _in_zone(datetime.fromisoformat(moment))
    return _in_zone(datetime.fromtimestamp(min(max(moment, FIRST), LAST), UTC))


def _in_zone(moment: datetime) -> datetime:
    """As it is, where the calendar ends before it is in the reader's zone."""
    try:
        return moment.astimezone()
    except (OverflowError, ValueError):
        return moment
