"""An account's quota, by the rate-limit headers of a response, and the scope of a 429.

Utilization is a share of 1.0; times are seconds since the epoch.

Subscriptions: `anthropic-ratelimit-unified-*`. API keys: the classic `anthropic-ratelimit-{requests,tokens,…}-*`,
https://platform.claude.com/docs/en/api/rate-limits#response-headers
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request.headers import Fields

PREFIX = "anthropic-ratelimit-"
UNIFIED = f"{PREFIX}unified-"
CLASSIC = ("requests", "tokens", "input-tokens", "output-tokens")
DEFAULT_FALLBACK = 0.5
"""Utilization from which other accounts serve first, where the headers name none."""
MAX_VALUE = 256
"""Bytes of a header's value that are read."""
LONGEST_WINDOW = 8 * 86_400.0
"""Seconds: seven days, and one for a clock that is off. A later reset is ignored."""
MAX_NUMBER = 1e11
"""Larger numbers are ignored: no limit or time in seconds is as large, a time in milliseconds is."""


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
    """The quota of an account, as a response reported it at `seen_at`."""

    seen_at: float
    five_hour: Window | None = None
    seven_day: Window | None = None
    status: str = ""
    claim: str = ""
    fallback: float | None = None
    overage: str = ""
    classic: Mapping[str, Classic] = field(default_factory=dict)

    def current(self, window: Window | None, now: float) -> Window | None:
        """Return `window`, or None if it has been reset since, or its reset is too late to be true."""
        if window is None or window.reset is None:
            return window
        return window if now < window.reset < now + LONGEST_WINDOW else None

    def past_fallback(self, now: float) -> bool:
        """Return whether a window is used up so far that other accounts serve first."""
        limit = DEFAULT_FALLBACK if self.fallback is None else self.fallback
        windows = (self.current(self.five_hour, now), self.current(self.seven_day, now))
        return any(window is not None and window.utilization >= limit for window in windows)

    def changes_at(self, now: float) -> float:
        """Return the next time at which time alone may change `past_fallback` or `next_reset`.

        That it is `now` means: ask again the next time.
        """
        resets = [w.reset for w in (self.five_hour, self.seven_day) if w and w.reset is not None]
        moments = (*resets, *(reset - LONGEST_WINDOW for reset in resets))
        # a second around it, for rounding errors
        return min((max(now, at - 1) for at in moments if now <= at + 1), default=math.inf)

    def next_reset(self, now: float) -> float | None:
        """Return the time of the first reset; None if no window has one."""
        resets = [
            w.reset
            for w in (self.five_hour, self.seven_day)
            if w and w.reset and self.current(w, now)
        ]
        return min(resets, default=None)


def parse(fields: Fields, now: float) -> Quota | None:
    """Read the quota from headers; None where there are no rate-limit headers. A malformed value is left out."""
    limits = limit_headers(fields)
    if not limits:
        return None
    return Quota(
        seen_at=now,
        five_hour=_window(limits, "5h"),
        seven_day=_window(limits, "7d"),
        status=limits.get(f"{UNIFIED}status", ""),
        claim=limits.get(f"{UNIFIED}representative-claim", ""),
        fallback=_number(limits.get(f"{UNIFIED}fallback-percentage")),
        overage=limits.get(f"{UNIFIED}overage-status", ""),
        classic={name: classic for name in CLASSIC if (classic := _classic(limits, name))},
    )


def limit_headers(fields: Fields) -> dict[str, str]:
    """Return the rate-limit headers, by name in lower case."""
    return {
        name: value[:MAX_VALUE].decode("latin-1")
        for key, value in fields
        if (name := key.decode("latin-1").lower()).startswith(PREFIX)
    }


def _window(limits: Mapping[str, str], name: str) -> Window | None:
    utilization = _number(limits.get(f"{UNIFIED}{name}-utilization"))
    if utilization is None:
        return None
    status = limits.get(f"{UNIFIED}{name}-status", "")
    return Window(utilization, status, _number(limits.get(f"{UNIFIED}{name}-reset")))


def _classic(limits: Mapping[str, str], name: str) -> Classic | None:
    limit = _number(limits.get(f"{PREFIX}{name}-limit"))
    remaining = _number(limits.get(f"{PREFIX}{name}-remaining"))
    if limit is None and remaining is None:
        return None
    return Classic(limit, remaining, _moment(limits.get(f"{PREFIX}{name}-reset")))


def _number(text: str | None) -> float | None:
    """Read a number from 0 to `MAX_NUMBER`; None for any other text."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < MAX_NUMBER else None


def _moment(text: str | None) -> float | None:
    """Read a time in RFC 3339's form, which classic resets have; None for any other text."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return seconds if 0 <= seconds < MAX_NUMBER else None


def runs_out_at(first: tuple[float, float], last: tuple[float, float]) -> float | None:
    """Return when a window is used up at the pace between two readings (time, utilization); None if never."""
    seconds, used = last[0] - first[0], last[1] - first[1]
    if seconds <= 0 or used <= 0:
        return None
    return last[0] + max(0.0, 1.0 - last[1]) * seconds / used


WHOLE_ACCOUNT = "*"
"""The wildcard of all models."""

_FAMILIES = ("opus", "sonnet", "haiku")
_COMMON = (f"{UNIFIED}5h-status", f"{UNIFIED}7d-status")
_NAMED = re.compile(r"\bmodel:? ?`?claude-[a-z0-9]", re.IGNORECASE)


class Limit(enum.Enum):
    """The subject of a rate limit."""

    ACCOUNT = "account"
    MODEL = "one model"
    CREDITS = "credits of one model family"
    BARE = "nothing named"


def limit_of(fields: Fields, message: str) -> Limit:
    """Return the subject of a 429, by its headers and message."""
    limits = limit_headers(fields)
    account_wide = _is_account_wide(limits)
    if limits.get(f"{UNIFIED}overage-disabled-reason") == "out_of_credits" and not account_wide:
        return Limit.CREDITS
    if _names_a_model(limits, message) and not account_wide:
        return Limit.MODEL
    named = limits.keys() - {f"{UNIFIED}overage-disabled-reason"}
    should_retry = headers.get(fields, b"x-should-retry") == "true"
    if should_retry and not named and headers.get(fields, b"retry-after") is None:
        return Limit.BARE
    return Limit.ACCOUNT


def scope_of(status: int | None, fields: Fields, message: str, model: str | None) -> str:
    """Return the models that a failure concerns, as a wildcard; `*` is the whole account."""
    limit = limit_of(fields, message) if status == 429 else Limit.ACCOUNT
    if limit is Limit.ACCOUNT or limit is Limit.BARE or not model:
        return WHOLE_ACCOUNT
    claim = limit_headers(fields).get(f"{UNIFIED}representative-claim", "")
    family = _family(claim) or (_family(model) if limit is Limit.CREDITS else "")
    # the cooldown has to be for the model that was refused, whatever the headers and the message call it
    return f"*{family}*" if family and family in model else model


def _is_account_wide(limits: Mapping[str, str]) -> bool:
    """Return whether a window of the whole account is used up; without a status of one, the claim names the window."""
    statuses = [limits[name] for name in _COMMON if name in limits]
    claim = limits.get(f"{UNIFIED}representative-claim")
    return "rejected" in statuses or (not statuses and claim in ("five_hour", "seven_day"))


def _names_a_model(limits: Mapping[str, str], message: str) -> bool:
    """Return whether the limit is one model's.

    By a claim on the window of a family, by the message, by a window of some models that is used up, or by a rejection
    while the windows of the account are open.
    """
    if _family(limits.get(f"{UNIFIED}representative-claim", "")) or _NAMED.search(message):
        return True
    if limits.get(f"{UNIFIED}7d_oi-status") == "rejected":
        return True
    return limits.get(f"{UNIFIED}status") == "rejected" and all(name in limits for name in _COMMON)


def _family(text: str) -> str:
    return next((family for family in _FAMILIES if family in text), "")
