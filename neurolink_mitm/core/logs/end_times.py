"""Ends of something that are typed: a duration, or a local time. The counterpart of `timestamps.parse_time`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from datetime import time as clock

from neurolink_mitm.core.logs.timestamps import LAST, SECONDS

DURATIONS = "30m, 2h, 1h30m or 7d"
MOMENTS = "18:00, 2026-11-30 or 2026-11-30T09:00"
_DURATION = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:min|[smhdw])){1,5}")
_PART = re.compile(r"([0-9.]+)(min|[smhdw])")
_HOUR = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")


def end_after(text: str, now: float) -> float:
    """Return the end of a duration from `now`, in seconds since the epoch. Raises `ValueError`."""
    bare = "".join(text.lower().split())
    if not _DURATION.fullmatch(bare):
        raise ValueError(f"{text!r:.40} is no duration: write it as {DURATIONS}")
    length = sum(float(number) * SECONDS[unit] for number, unit in _PART.findall(bare))
    if length < 1:
        raise ValueError(f"{text!r:.40} is no time at all: write it as {DURATIONS}")
    if now + length > LAST:
        raise ValueError(f"{text!r:.40} is too long: leave it out for a pause without an end")
    return now + length


def end_at(text: str, now: float) -> float:
    """Return a moment after `now`, local unless it names a zone. Raises `ValueError`.

    An hour that has passed today is tomorrow's, by the calendar: not every day has 24 hours.
    """
    text = text.strip()
    if match := _HOUR.fullmatch(text):
        return _next_hour(match, text, now)
    try:
        moment = datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError, OSError) as e:
        raise ValueError(f"{text!r:.40} is no time: write it as {MOMENTS}") from e
    if moment <= now:
        raise ValueError(f"{text!r:.40} has passed: name a time to come")
    return moment


def _next_hour(match: re.Match[str], text: str, now: float) -> float:
    try:
        hour = clock(int(match[1]), int(match[2]), int(match[3] or 0))
    except ValueError as e:
        raise ValueError(f"{text!r:.40} is no time of day: write it as 18:00") from e
    today = datetime.fromtimestamp(now).date()
    # an hour comes twice when the clocks go back
    moments = (
        datetime.combine(today + timedelta(days=days), hour.replace(fold=fold)).timestamp()
        for days in (0, 1)
        for fold in (0, 1)
    )
    return next(moment for moment in moments if moment > now)
