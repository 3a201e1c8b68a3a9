"""Quiet hours: a part of each day, by the local clock, so that a change of summer time moves nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

_HOURS = re.compile(r"\s*(\d\d?):(\d\d)\s*-\s*(\d\d?):(\d\d)\s*", re.ASCII)
_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `begin` to before `end`, in minutes of the day; it crosses midnight where `end` is less."""

    begin: int
    end: int

    @classmethod
    def parse(cls, text: str) -> QuietHours:
        """Read `22:00-07:00`; `24:00` is midnight. Raises `ValueError` with what it must be."""
        match = _HOURS.fullmatch(text)
        times = [int(hour) * 60 + int(minute) for hour, minute in _pairs(match)] if match else []
        if not match or max(times) > _DAY or max(int(match[2]), int(match[4])) > 59:
            raise ValueError('must be two times of the day, such as "22:00-07:00"')
        begin, end = (time % _DAY for time in times)
        if begin == end:
            raise ValueError("must be two different times of the day")
        return cls(begin, end)

    def covers(self, local: datetime) -> bool:
        """Return whether it is quiet at this time of the local clock."""
        minute = local.hour * 60 + local.minute
        if self.begin < self.end:
            return self.begin <= minute < self.end
        return minute >= self.begin or minute < self.end


def _pairs(match: re.Match[str]) -> list[tuple[str, str]]:
    return [(match[1], match[2]), (match[3], match[4])]
