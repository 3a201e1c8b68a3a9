"""Cooldowns: how long an account is left alone after a failure, and when it is trusted again.

Which failure asks for which kind of cooldown is decided in `core/failover/errors.py`. Times are seconds since the
epoch, durations are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from neurolink_mitm.core.failover.errors import CooldownKind
from neurolink_mitm.core.pool.windows import LONGEST_WINDOW

BACKOFF_CAP = 600.0
"""Longest back-off, whatever upstream's Retry-After."""
LONG_COOLDOWN = 300.0
"""Cooldown of `CooldownKind.LONG`."""
DEFAULT_BASE = 1.0
"""Base of the back-off where upstream sends no Retry-After."""
SLACK = 2.0
"""Clock differences up to this are ignored."""
CLOSE = 0.05
"""Seconds before a cooldown's end from which a request counts as the probe: replicas' clocks differ by that much."""


@dataclass(frozen=True, slots=True)
class Cooldown:
    """`level` counts the cooldowns in a row; `began` and `until` belong to the last one."""

    level: int = 0
    began: float = 0.0
    until: float = 0.0
    reason: str = ""
    whole: bool = False
    """Upstream refused the account itself: while this lasts, no endpoint is asked."""
    resets_at: float | None = None
    """The reset of the window that upstream called used up, if it is known: `until` is no later."""

    def cooling(self, now: float) -> bool:
        return now < self.until

    def recovery(self, now: float) -> float:
        """Return when the account recovers by itself: the reset of its window, else the end of the cooldown.

        From the end of the cooldown on it may be tried, whether it has recovered or not.
        """
        if self.resets_at is None or self.resets_at >= now + LONGEST_WINDOW:
            return self.until
        return max(self.until, self.resets_at)


@dataclass(frozen=True, slots=True)
class Reserved:
    """The probe of a scope is left to another replica, from `since` until `until` at most.

    `asked`: whose it is will be known at once.
    """

    since: float
    until: float
    asked: bool = False

    def lasts(self, now: float) -> bool:
        return self.since <= now < self.until


def after_failure(
    cooldown: Cooldown,
    kind: CooldownKind,
    *,
    base: float | None,
    sent_at: float,
    now: float,
    reason: str,
    resets_at: float | None = None,
) -> Cooldown:
    """Return the cooldown after the attempt sent at `sent_at` failed.

    It ends no earlier than before, but at `resets_at` at the latest, the reset of the window that is used up. An
    attempt that was sent before the end of the cooldown may lengthen it, but doesn't raise its level: it was in flight
    when the cooldown began, or sent by a replica that had not heard of it.
    """
    if kind is CooldownKind.NONE:
        return cooldown
    if kind is CooldownKind.LONG:
        until = max(cooldown.until, now + LONG_COOLDOWN)
        return replace(cooldown, began=now, until=until, reason=reason, whole=True)
    in_flight = cooldown.level > 0 and sent_at <= max(cooldown.began, cooldown.until - CLOSE)
    level = cooldown.level - 1 if in_flight else cooldown.level
    until = max(cooldown.until, now + backoff_duration(base, level))
    whole = cooldown.whole and cooldown.cooling(now)
    began = cooldown.began if in_flight else now
    return _capped(Cooldown(level + 1, began, until, reason, whole, resets_at))


def after_success(cooldown: Cooldown, *, sent_at: float) -> Cooldown:
    """Return no cooldown if the attempt was sent after `cooldown` began: an older one proves nothing."""
    return Cooldown() if sent_at > cooldown.began else cooldown


def in_bounds(cooldown: Cooldown, now: float) -> Cooldown:
    """Return `cooldown`; if it was written under a wrong clock, begin it now, for at most its longest duration."""
    cap = BACKOFF_CAP if cooldown.level > 0 else LONG_COOLDOWN
    if cooldown.began <= now + SLACK and cooldown.until <= now + cap + SLACK:
        return cooldown
    length = min(max(0.0, cooldown.until - cooldown.began), cap)
    return _capped(replace(cooldown, began=now, until=now + length))


def shifted(cooldown: Cooldown, seconds: float) -> Cooldown:
    """Return `cooldown` after the clock was set by `seconds`."""
    began, until = cooldown.began + seconds, cooldown.until + seconds
    return _capped(replace(cooldown, began=began, until=until))


def _capped(cooldown: Cooldown) -> Cooldown:
    """Return `cooldown` with an end no later than the reset of the window; a refused account has no part in that."""
    if cooldown.resets_at is None or cooldown.whole:
        return cooldown
    return replace(cooldown, until=min(cooldown.until, cooldown.resets_at))


def backoff_duration(base: float | None, level: int) -> float:
    """Return min(base * 2^level, cap); `base` is Retry-After, None where upstream sends none."""
    exponent = min(level, 32)  # beyond the cap anyway, and no overflow
    return min((DEFAULT_BASE if base is None else base) * 2.0**exponent, BACKOFF_CAP)
