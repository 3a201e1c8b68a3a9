"""What an answer's headers say of an account's limits. Utilization is a share, 1.0 is all; times are epoch seconds.

Subscriptions: `anthropic-ratelimit-unified-*`. API keys: the classic `anthropic-ratelimit-{requests,tokens,…}-*`,
https://platform.claude.com/docs/en/api/rate-limits#response-headers
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from neurolink_mitm.core.headers import Fields

PREFIX = "anthropic-ratelimit-"
UNIFIED = f"{PREFIX}unified-"
CLASSIC = ("requests", "tokens", "input-tokens", "output-tokens")
FALLBACK = 0.5
"""Share of a window past which other accounts are asked first, where the headers name none."""
LONGEST = 256
"""Characters of a value that are read."""
LONGEST_WINDOW = 8 * 86_400.0
"""Seconds: no window is longer, with a day for a clock that is off."""
BEYOND = 1e11
"""No limit, and no time in seconds, is as much; in milliseconds it would be, and could not be shown as a date."""


@dataclass(frozen=True, slots=True)
class Window:
    """One window of a subscription: five hours or seven days."""

    utilization: float
    status: str = ""
    reset: float | None = None


@dataclass(frozen=True, slots=True)
class Classic:
    """One limit of an API key."""

    limit: float | None = None
    remaining: float | None = None
    reset: float | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """All that was said, at `seen_at`."""

    seen_at: float
    five_hour: Window | None = None
    seven_day: Window | None = None
    status: str = ""
    claim: str = ""
    fallback: float | None = None
    overage: str = ""
    classic: Mapping[str, Classic] = field(default_factory=dict)

    def current(self, window: Window | None, now: float) -> Window | None:
        """The window if it has not been reset since. A reset that no window is long enough for is a clock's fault."""
        if window is None or window.reset is None:
            return window
        return window if now < window.reset < now + LONGEST_WINDOW else None

    def past_fallback(self, now: float) -> bool:
        """Whether one of the windows is used up so far that others should serve first."""
        limit = FALLBACK if self.fallback is None else self.fallback
        windows = (self.current(self.five_hour, now), self.current(self.seven_day, now))
        return any(window is not None and window.utilization >= limit for window in windows)

    def next_reset(self, now: float) -> float | None:
        """When the first of the windows starts anew."""
        resets = [
            w.reset
            for w in (self.five_hour, self.seven_day)
            if w and w.reset and self.current(w, now)
        ]
        return min(resets, default=None)


def parse(fields: Fields, now: float) -> Quota | None:
    """None where the headers say nothing of limits. What can't be read is left out."""
    said = limits_said(fields)
    if not said:
        return None
    return Quota(
        seen_at=now,
        five_hour=_window(said, "5h"),
        seven_day=_window(said, "7d"),
        status=said.get(f"{UNIFIED}status", ""),
        claim=said.get(f"{UNIFIED}representative-claim", ""),
        fallback=_number(said.get(f"{UNIFIED}fallback-percentage")),
        overage=said.get(f"{UNIFIED}overage-status", ""),
        classic={name: found for name in CLASSIC if (found := _classic(said, name))},
    )


def limits_said(fields: Fields) -> dict[str, str]:
    """The rate-limit headers, by name in lower case."""
    return {
        name: value[:LONGEST].decode("latin-1")
        for key, value in fields
        if (name := key.decode("latin-1").lower()).startswith(PREFIX)
    }


def _window(said: Mapping[str, str], name: str) -> Window | None:
    utilization = _number(said.get(f"{UNIFIED}{name}-utilization"))
    if utilization is None:
        return None
    status = said.get(f"{UNIFIED}{name}-status", "")
    return Window(utilization, status, _number(said.get(f"{UNIFIED}{name}-reset")))


def _classic(said: Mapping[str, str], name: str) -> Classic | None:
    limit = _number(said.get(f"{PREFIX}{name}-limit"))
    remaining = _number(said.get(f"{PREFIX}{name}-remaining"))
    if limit is None and remaining is None:
        return None
    return Classic(limit, remaining, _moment(said.get(f"{PREFIX}{name}-reset")))


def _number(text: str | None) -> float | None:
    """A number that is not negative, and no later than any calendar goes where it is a time."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < BEYOND else None


def _moment(text: str | None) -> float | None:
    """RFC 3339, as classic resets are given."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return seconds if 0 <= seconds < BEYOND else None


def runs_out_at(first: tuple[float, float], last: tuple[float, float]) -> float | None:
    """When a window is used up if use goes on as between two readings, each (time, utilization); None if it is not."""
    seconds, used = last[0] - first[0], last[1] - first[1]
    if seconds <= 0 or used <= 0:
        return None
    return last[0] + max(0.0, 1.0 - last[1]) * seconds / used
