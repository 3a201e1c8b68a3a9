"""When something ends, in the words of all views: the local time, and the countdown to it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

from neurolink_mitm.core.logs.timestamps import FIRST, LAST, seconds

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""English, whatever the locale: the words around them are."""
_ISO = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z")
LONGEST = 3650 * 86400.0
"""Seconds of the longest countdown."""


def clock_time(moment: float, now: float, zone: tzinfo | None = None) -> str:
    """Return the time of day, with the day if it is not that of `now`: `16:40`, `Tue 16:40`, `8 Dec 16:40`.

    `moment` and `now` are seconds since the epoch. `zone` is the reader's; None: that of this machine.
    """
    at, today = _local(moment, zone), _local(now, zone)
    time, days = f"{at:%H:%M}", (at.date() - today.date()).days
    if days == 0:
        return time
    if 0 < days < 7:
        return f"{WEEKDAYS[at.weekday()]} {time}"
    year = f" {at.year:04}" if at.year != today.year and abs(days) > 90 else ""
    return f"{at.day} {MONTHS[at.month - 1]}{year} {time}"


def zoned_time(moment: float, now: float, zone: tzinfo | None = None) -> str:
    """Return the time of day, with the day if it is another one, marked with its zone: `Tue 16:40 CET`."""
    return f"{clock_time(moment, now, zone)} {_local(moment, zone):%Z}"


def countdown(seconds: float) -> str:
    """Return a duration as `40s`, `9m`, `2h5m`, `6d4h`; minutes and hours are rounded up."""
    whole = round(min(max(1.0, seconds), LONGEST))  # in this order: what is no number becomes 1
    if whole < 60:
        return f"{whole}s"
    hours, minutes = divmod(-(-whole // 60), 60)
    if hours < 24:
        return f"{hours}h{minutes}m" if hours else f"{minutes}m"
    days, hours = divmod(hours + (minutes > 0), 24)
    return f"{days}d{hours}h" if hours else f"{days}d"


def reset_time(moment: float, now: float, zone: tzinfo | None = None) -> str:
    """Return the local time, marked with its zone, and the countdown: `16:40 CET (in 2h5m)`; none to a past moment."""
    at = zoned_time(moment, now, zone)
    return f"{at} (in {countdown(moment - now)})" if moment > now else at


def in_local_time(text: str, now: float, zone: tzinfo | None = None) -> str:
    """Return a text with the times in it, ISO 8601 in UTC, in the words of all views."""

    def replaced(match: re.Match[str]) -> str:
        try:
            return reset_time(seconds(match[0]), now, zone)
        except ValueError:  # the 30th of February
            return match[0]

    return _ISO.sub(replaced, text)


def _local(moment: float, zone: tzinfo | None) -> datetime:
    """Return `moment` in `zone`; at the ends of the calendar, where that fails, in UTC."""
    bounded = moment if FIRST <= moment <= LAST else FIRST if moment < FIRST else LAST
    at = datetime.fromtimestamp(bounded, UTC)
    try:
        return at.astimezone(zone)
    except (OverflowError, ValueError, OSError):
        return at
