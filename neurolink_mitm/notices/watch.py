"""Which conditions are told: each once per cause, none in quiet hours, few of what comes and goes.

What holds is compared with what was told, so that nothing depends on when somebody looks: what begins in quiet hours
and still holds at their end is told then, and what has passed is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from neurolink_mitm.notices.conditions import Condition, Situation

GONE = 5.0
"""Seconds for which a condition must not hold before its cause counts as over."""
AGAIN = 300.0
"""Seconds after a notice in which its cause is told again only once it has held for `LASTING`."""
LASTING = 30.0
MOST = 50
"""Conditions that are told at once: the rest is told by the next looks, so that none takes long."""
JITTER = 600.0
"""Seconds by which the end of one and the same period may be reported differently."""
COOLING = "all-cooling"


class Mark(msgspec.Struct, rename="camel"):
    """That a cause was told, until its period ends, or until it does not hold any more."""

    told_at: float
    period_ends_at: float | None = None


Marks = Mapping[str, Mark]


@dataclass(slots=True)
class _Held:
    """Since when a cause holds, or does not hold."""

    holds: bool
    since: float

    def lasted(self, now: float) -> float:
        self.since = min(self.since, now)  # the clock was set back
        return now - self.since


class Watch:
    """Remembers what was told. `changes` counts changes of `marks`, which are kept across restarts."""

    def __init__(self, marks: Marks | None = None) -> None:
        self.marks = dict(marks or {})
        self.changes = 0
        self._held: dict[str, _Held] = {}
        self._told_at: dict[str, float] = {}

    def restore(self, marks: Marks, now: float) -> None:
        """Take over the marks of an earlier run, but for those that a clock was ahead for."""
        self.marks = {cause: mark for cause, mark in marks.items() if mark.told_at <= now + 60}

    def update(self, situation: Situation, now: float, *, quiet: bool) -> list[Condition]:
        """Return what is to be told now."""
        current = {each.cause: each for each in situation.conditions}
        self._follow(current, now)
        told = [] if quiet else [c for c in current.values() if self._is_due(c, now)][:MOST]
        for condition in told:
            self._mark(condition, now)
        return [*told, *self._end(current, situation.serving, now, quiet=quiet)]

    def _follow(self, current: Mapping[str, Condition], now: float) -> None:
        """Note since when each cause holds, and the period that its mark is for."""
        for cause in current.keys() | self.marks.keys():
            holds, held = cause in current, self._held.get(cause)
            if held is None or held.holds is not holds:
                self._held[cause] = _Held(holds, now)
            mark = self.marks.get(cause)
            if mark and holds and not _is_next_period(mark, current[cause], now):
                mark.period_ends_at = current[cause].period_ends_at
        for cause in self._held.keys() - current.keys() - self.marks.keys():
            del self._held[cause]
        self._told_at = {c: at for c, at in self._told_at.items() if abs(now - at) < AGAIN}

    def _is_due(self, condition: Condition, now: float) -> bool:
        mark = self.marks.get(condition.cause)
        if mark:
            return _is_next_period(mark, condition, now)
        lasted = self._held[condition.cause].lasted(now)
        return condition.cause not in self._told_at or lasted >= LASTING

    def _mark(self, condition: Condition, now: float) -> None:
        self.marks[condition.cause] = Mark(now, condition.period_ends_at)
        self._told_at[condition.cause] = now
        self.changes += 1

    def _end(
        self, current: Mapping[str, Condition], serving: str | None, now: float, *, quiet: bool
    ) -> list[Condition]:
        """Remove the marks of causes that are over. Return what is told of that."""
        back = []
        for cause in [cause for cause in self.marks if cause not in current]:
            over = self._held[cause].lasted(now) >= GONE or (cause == COOLING and serving)
            period_ends_at = self.marks[cause].period_ends_at
            if not over or (period_ends_at is not None and now < period_ends_at):
                continue
            if cause == COOLING and quiet:
                continue  # told at the end of the quiet hours, if it is so then
            if cause == COOLING:
                back.append(Condition("back", "back", serving))
            del self.marks[cause]
            self.changes += 1
        return back


def _is_next_period(mark: Mark, condition: Condition, now: float) -> bool:
    """Return whether the period that was told of is over, and the condition is for the next one."""
    before, after = mark.period_ends_at, condition.period_ends_at
    return before is not None and after is not None and now >= before and after > before + JITTER
