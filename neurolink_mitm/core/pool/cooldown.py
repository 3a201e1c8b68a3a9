"""Cooldowns: how long an account is left alone after a failure, and when it is trusted again.

Seconds throughout; `now` and `sent_at` are times of one clock (seconds since the epoch).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from neurolink_mitm.core.failover.errors import CooldownKind

CAP = 600.0
LONG = 300.0
DEFAULT_BASE = 1.0
SLACK = 2.0
"""Seconds by which a clock may be off without that being of interest."""


@dataclass(frozen=True, slots=True)
class Cooldown:
    """`level` counts the cooldowns in a row; `began` and `until` are the last one's."""

    level: int = 0
    began: float = 0.0
    until: float = 0.0
    reason: str = ""
    whole: bool = False
    """The account itself was refused: while it lasts, no other endpoint is asked either."""

    def cooling(self, now: float) -> bool:
        return now < self.until


def after_failure(
    state: Cooldown,
    bench: CooldownKind,
    *,
    base: float | None,
    sent_at: float,
    now: float,
    reason: str,
) -> Cooldown:
    """The cooldown after a failed attempt that was sent at `sent_at`.

    Attempts that were under way when the cooldown began belong to it: they may lengthen it, never escalate it.
    A cooldown never gets shorter by a failure.
    """
    if bench is CooldownKind.NONE:
        return state
    if bench is CooldownKind.LONG:
        until = max(state.until, now + LONG)
        return replace(state, began=now, until=until, reason=reason, whole=True)
    same_window = state.level > 0 and sent_at <= state.began
    level = state.level - 1 if same_window else state.level
    until = max(state.until, now + duration(base, level))
    began = state.began if same_window else now
    return Cooldown(level + 1, began, until, reason, state.whole and state.cooling(now))


def after_success(state: Cooldown, *, sent_at: float) -> Cooldown:
    """Cleared, but only by a request that was sent after the cooldown began: an older one proves nothing."""
    return Cooldown() if sent_at > state.began else state


def in_bounds(state: Cooldown, now: float) -> Cooldown:
    """As it was, or if it begins or ends later than any that begins now could: its length from now, at most the cap.

    It was written under a clock that was wrong.
    """
    cap = CAP if state.level > 0 else LONG
    if state.began <= now + SLACK and state.until <= now + cap + SLACK:
        return state
    length = min(max(0.0, state.until - state.began), cap)
    return replace(state, began=now, until=now + length)


def moved(state: Cooldown, by: float) -> Cooldown:
    """The same one after the clock was set by so many seconds."""
    return replace(state, began=state.began + by, until=state.until + by)


def duration(base: float | None, level: int) -> float:
    """min(base * 2^level, cap); `base` is Retry-After, or None where upstream named none."""
    exponent = min(level, 32)  # beyond the cap anyway, and no overflow
    return min((DEFAULT_BASE if base is None else base) * 2.0**exponent, CAP)
