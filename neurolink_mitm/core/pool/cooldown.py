"""Cooldowns: how long an account is left alone after a failure, and when it is trusted again.

Which failure asks for which kind of cooldown is decided in `core/failover/errors.py`. Times are seconds since the
epoch, durations are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from neurolink_mitm.core.failover.errors import CooldownKind

BACKOFF_CAP = 600.0
"""Longest back-off, whatever upstream's Retry-After."""
LONG_COOLDOWN = 300.0
"""Cooldown of `CooldownKind.LONG`."""
DEFAULT_BASE = 1.0
"""Base of the back-off where upstream sends no Retry-After."""
SLACK = 2.0
"""Clock differences up to this are ignored."""


@dataclass(frozen=True, slots=True)
class Cooldown:
    """`level` counts the cooldowns in a row; `began` and `until` belong to the last one."""

    level: int = 0
    began: float = 0.0
    until: float = 0.0
    reason: str = ""
    whole: bool = False
    """Upstream refused the account itself: while this lasts, no endpoint is asked."""

    def cooling(self, now: float) -> bool:
        return now < self.until


def after_failure(
    cooldown: Cooldown,
    kind: CooldownKind,
    *,
    base: float | None,
    sent_at: float,
    now: float,
    reason: str,
) -> Cooldown:
    """Return the cooldown after the attempt sent at `sent_at` failed; it never ends earlier than before.

    An attempt that was in flight when the cooldown began may lengthen it, but doesn't raise its level.
    """
    if kind is CooldownKind.NONE:
        return cooldown
    if kind is CooldownKind.LONG:
        until = max(cooldown.until, now + LONG_COOLDOWN)
        return replace(cooldown, began=now, until=until, reason=reason, whole=True)
    in_flight = cooldown.level > 0 and sent_at <= cooldown.began
    level = cooldown.level - 1 if in_flight else cooldown.level
    until = max(cooldown.until, now + backoff_duration(base, level))
    began = cooldown.began if in_flight else now
    return Cooldown(level + 1, began, until, reason, cooldown.whole and cooldown.cooling(now))


def after_success(cooldown: Cooldown, *, sent_at: float) -> Cooldown:
    """Return no cooldown if the attempt was sent after `cooldown` began: an older one proves nothing."""
    return Cooldown() if sent_at > cooldown.began else cooldown


def in_bounds(cooldown: Cooldown, now: float) -> Cooldown:
    """Return `cooldown`; if it was written under a wrong clock, begin it now, for at most its longest duration."""
    cap = BACKOFF_CAP if cooldown.level > 0 else LONG_COOLDOWN
    if cooldown.began <= now + SLACK and cooldown.until <= now + cap + SLACK:
        return cooldown
    length = min(max(0.0, cooldown.until - cooldown.began), cap)
    return replace(cooldown, began=now, until=now + length)


def shifted(cooldown: Cooldown, seconds: float) -> Cooldown:
    """Return `cooldown` after the clock was set by `seconds`."""
    return replace(cooldown, began=cooldown.began + seconds, until=cooldown.until + seconds)


def backoff_duration(base: float | None, level: int) -> float:
    """Return min(base * 2^level, cap); `base` is Retry-After, None where upstream sends none."""
    exponent = min(level, 32)  # beyond the cap anyway, and no overflow
    return min((DEFAULT_BASE if base is None else base) * 2.0**exponent, BACKOFF_CAP)
