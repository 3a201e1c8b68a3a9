"""Moments as people write and read them: in UTC everywhere, as the logs are, and marked so."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
FIRST, LAST = -62_135_596_800.0, 253_402_300_799.0
"""Seconds: the years 1 and 9999, between which there are dates."""
FORMS = "30m, 2h, 7d, today, yesterday, 2026-11-22 or 2026-11-22T10:00"


def moment(text: str, now: float) -> float:
    """Seconds since the epoch; what names no zone is UTC, as the logs are. Raises `ValueError`."""
    text = text.strip().lower()
    if match := _AGO.fullmatch(text):
        return now - float(match[1]) * _SECONDS[match[2]]
    midnight = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if text == "now":
        return now
    if text in ("today", "yesterday"):
        return (midnight - timedelta(days=text == "yesterday")).timestamp()
    try:
        found = datetime.fromisoformat(text.upper())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as e:
        raise ValueError(f"{text!r:.40} is no time: write it as {FORMS}") from e


def clock(moment: str | float, *, seconds: bool = True) -> str:
    """The time of day: `13:05:59Z`, `13:05Z`. `moment` is in the form of ISO 8601, or seconds since the epoch."""
    if isinstance(moment, str):
        found = datetime.fromisoformat(moment).astimezone(UTC)
    else:
        found = datetime.fromtimestamp(min(max(moment, FIRST), LAST), UTC)
    return f"{found:%H:%M:%SZ}" if seconds else f"{found:%H:%MZ}"
