"""What was used of a window over the last hour, and the pace of it. Times are seconds since the epoch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import msgspec

from neurolink_mitm.core.pool.limit_headers import MAX_NUMBER
from neurolink_mitm.core.pool.windows import LONGEST_WINDOW, Window

HOUR = 3600.0
"""Seconds that a pace is taken over."""
INTERVAL = 60.0
"""Seconds between two readings that are kept."""
SHORTEST = 300.0
"""Seconds that a pace is taken over at least: a burst in the first minute is no pace."""
MAX_READINGS = 128
"""Readings of a window at most; an hour has 61."""


class Reading(NamedTuple):
    """A share of 1.0 that was used at a time, and by how much all readings so far have risen."""

    at: float
    used: float
    risen: float = 0.0


class SavedReading(msgspec.Struct, frozen=True):
    """A line of `windows.jsonl`: an account's reading of one window, by the account's key and the window's name."""

    at: float
    account: str
    window: str
    used: float


@dataclass(slots=True)
class Readings:
    """Readings of one window, oldest first: one a minute for an hour, the one before, and the latest."""

    _kept: deque[Reading] = field(default_factory=partial(deque[Reading], maxlen=MAX_READINGS))
    _latest: Reading | None = None
    _set_by: float = 0.0
    """Seconds by which the clock was set since the first one; the times of readings are by the clock of that time."""

    def add(self, at: float, used: float) -> Reading | None:
        """Take a reading; return it if it is kept as one of its minute."""
        kept = self._add(at - self._set_by, used)
        return kept._replace(at=at) if kept else None

    def _add(self, at: float, used: float) -> Reading | None:
        if self._latest and at < self._latest.at:
            if at > self._latest.at - INTERVAL:
                return None
            self._kept.clear()  # the clock was set back
            self._latest = None
        before = self._latest
        rise = max(0.0, used - before.used) if before else 0.0
        self._latest = latest = Reading(at, used, before.risen + rise if before else 0.0)
        if self._kept and at < self._kept[-1].at + INTERVAL and used >= self._kept[-1].used:
            return None
        self._kept.append(latest)
        while len(self._kept) > 1 and self._kept[1].at <= at - HOUR:
            self._kept.popleft()
        return latest

    def shift(self, seconds: float) -> None:
        """Follow the clock, which was set by `seconds`."""
        self._set_by += seconds

    def pace(self, now: float) -> float:
        """Return the share of the window that was used per second of the hour before `now`.

        What was used between a reading before that hour and one in it is spread evenly. A reading that is lower than
        the one before tells of a reset, or of a correction: what was used meanwhile is unknown, and left out.
        """
        now -= self._set_by
        latest, start = self._latest, now - HOUR
        if latest is None or latest.at <= start:
            return 0.0
        before, after = None, latest
        for each in tuple(self._kept):  # any thread may ask
            if each.at > start:
                after = each
                break
            before = each
        if before is None:
            return (latest.risen - after.risen) / max(SHORTEST, now - after.at)
        share = (start - before.at) / (after.at - before.at)
        earlier = before.risen + share * (after.risen - before.risen)
        return max(0.0, latest.risen - earlier) / HOUR


def restored(saved: Iterable[SavedReading], now: float) -> dict[str, dict[str, Readings]]:
    """Return the saved readings that a forecast at `now` needs, by account key and window."""
    recent = (each for each in saved if now - 2 * HOUR < each.at <= now + INTERVAL)
    result: dict[str, dict[str, Readings]] = {}
    for each in sorted(recent, key=lambda each: each.at):
        if 0 <= each.used < MAX_NUMBER:
            windows = result.setdefault(each.account, {})
            windows.setdefault(each.window, Readings()).add(each.at, each.used)
    return result


def runs_out_at(window: Window, pace: float, now: float) -> float | None:
    """Return when a window is used up at this pace: later than `now`, and before its reset; None if it is not.

    None, too, if it is used up already.
    """
    if window.is_used_up or window.utilization is None or pace <= 0 or not window.is_current(now):
        return None
    at = now + (1.0 - window.utilization) / pace
    end = now + LONGEST_WINDOW if window.reset is None else window.reset
    return at if now < at < end else None
