"""An account's quota, by the rate-limit headers of a response.

Utilization is a share of 1.0; times are seconds since the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from neurolink_mitm.core.pool.families import Learned, counts_for, evidence, family_of, learn
from neurolink_mitm.core.pool.limit_headers import PREFIX, UNIFIED, limit_headers, moment, number
from neurolink_mitm.core.pool.windows import (
    COMMON,
    LONGEST_WINDOW,
    REJECTED,
    Window,
    merged,
    read_windows,
)
from neurolink_mitm.core.request.headers import Fields

CLASSIC = ("requests", "tokens", "input-tokens", "output-tokens")
DEFAULT_FALLBACK = 0.5
"""Utilization from which other accounts serve first, where the headers name none."""


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
    windows: Mapping[str, Window] = field(default_factory=dict)
    """By upstream's name: `5h`, `7d`, `7d_oi`, …"""
    status: str = ""
    claim: str = ""
    fallback: float | None = None
    overage: str = ""
    reset: float | None = None
    """Reset of the window that `claim` names."""
    classic: Mapping[str, Classic] = field(default_factory=dict)
    overage_in_use: bool = False
    """The response was paid beside the plan."""
    learned: Learned = field(default_factory=dict)
    """What the account's responses have shown of the models that a window counts for."""

    def current(self, now: float) -> dict[str, Window]:
        """Return the windows that have not been reset since."""
        return {name: each for name, each in self.windows.items() if each.is_current(now)}

    def used(self, name: str) -> float | None:
        """Return the utilization of a window as the response reported it, None where it did not."""
        window = self.windows.get(name)
        return window.utilization if window else None

    def counting(self, model: str | None, now: float) -> dict[str, Window]:
        """Return the current windows that count for `model`; without a model, those that count for any."""
        family = family_of(model)
        current = self.current(now).items()
        return {name: each for name, each in current if counts_for(name, family, self.learned)}

    def past_fallback(self, model: str | None, now: float) -> bool:
        """Return whether a window of `model` is used up so far that other accounts serve first."""
        limit = DEFAULT_FALLBACK if self.fallback is None else self.fallback
        used = (window.utilization for window in self.counting(model, now).values())
        return any(share is not None and share >= limit for share in used)

    def changes_at(self, now: float) -> float:
        """Return the next time at which time alone may change `past_fallback` or `next_reset`.

        That it is `now` means: ask again the next time.
        """
        resets = [w.reset for w in self.windows.values() if w.reset is not None]
        moments = (*resets, *(reset - LONGEST_WINDOW for reset in resets))
        # a second around it, for rounding errors
        return min((max(now, at - 1) for at in moments if now <= at + 1), default=math.inf)

    def next_reset(self, model: str | None, now: float) -> float | None:
        """Return the time of the first reset of a window of `model`; None if none has one."""
        resets = (window.reset for window in self.counting(model, now).values())
        return min((reset for reset in resets if reset is not None), default=None)

    def after(
        self,
        before: Quota | None,
        model: str | None = None,
        *,
        refused: bool = False,
        served: bool = False,
    ) -> Quota:
        """Return this quota of a response, and what the one `before` had that the response did not name.

        It was a response to a request for `model`: `refused` by a limit of this model, or `served`.
        """
        before = before or Quota(self.seen_at)
        windows = merged(before.windows, self.windows, self.seen_at)
        fallback = before.fallback if self.fallback is None else self.fallback
        learned = self.learned or before.learned
        if learned or windows.keys() - COMMON:
            current = before.current(self.seen_at)
            within = served and self.is_within_plan
            shown = evidence(self.windows, current, refused=refused, served=within)
            learned = learn(learned, family_of(model), shown)
        if (windows, fallback, learned) == (self.windows, self.fallback, self.learned):
            return self
        return replace(self, windows=windows, fallback=fallback, learned=learned)

    def after_success(self, model: str | None, sent_at: float) -> Quota:
        """Return this quota after a request for `model` was served: no window that counts for it is used up.

        Those that a response has reported since `sent_at` stay: the request was paid beside the plan.
        """
        family = family_of(model)
        over = [
            name
            for name, window in self.windows.items()
            if window.is_used_up
            and window.seen_at < sent_at
            and counts_for(name, family, self.learned)
        ]
        if not over:
            return self
        return replace(self, windows={n: w for n, w in self.windows.items() if n not in over})

    @property
    def is_within_plan(self) -> bool:
        """Whether the response counts against the windows, and is not paid beside the plan."""
        return self.status != REJECTED and self.claim != "overage" and not self.overage_in_use


def parse(fields: Fields, now: float) -> Quota | None:
    """Read the quota from headers; None where there are no rate-limit headers. A malformed value is left out."""
    limits = limit_headers(fields)
    if not limits:
        return None
    return Quota(
        seen_at=now,
        windows=read_windows(limits, now),
        status=limits.get(f"{UNIFIED}status", ""),
        claim=limits.get(f"{UNIFIED}representative-claim", ""),
        fallback=number(limits.get(f"{UNIFIED}fallback-percentage")),
        overage=limits.get(f"{UNIFIED}overage-status", ""),
        reset=moment(limits.get(f"{UNIFIED}reset")),
        overage_in_use=limits.get(f"{UNIFIED}overage-in-use", "").lower() == "true",
        classic={n: each for n in _classic_in(tuple(limits)) if (each := _classic(limits, n))},
    )


@lru_cache(16)
def _classic_in(headers: tuple[str, ...]) -> list[str]:
    """Return the classic limits that names of headers name: none in most responses."""
    return [name for name in CLASSIC if any(each.startswith(PREFIX + name) for each in headers)]


def _classic(limits: Mapping[str, str], name: str) -> Classic | None:
    limit = number(limits.get(f"{PREFIX}{name}-limit"))
    remaining = number(limits.get(f"{PREFIX}{name}-remaining"))
    if limit is None and remaining is None:
        return None
    return Classic(limit, remaining, moment(limits.get(f"{PREFIX}{name}-reset")))
