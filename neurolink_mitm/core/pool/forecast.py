"""When the pool runs dry: the time from which no subscription has headroom, until the first one has again.

It plays what would happen if requests went on at the pace of the last hour, the sum of all accounts' paces:
- The strategy decides on which accounts it falls: under fill-first on the first that has headroom, and on the next when
  that is used up; under round-robin on all in proportion to their weights.
- An account has headroom while none of its windows is used up and it does not cool. A window that is reset is empty,
  and begins anew with its next use.
- Plans are taken to be of equal size, and a window of which nothing was reported to be empty.

Nothing here knows of session affinity, of limits of requests a minute, or of usage beside the plan.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from neurolink_mitm.core.pool.windows import LONGEST_WINDOW, Windows

FULL = 1 - 1e-9
"""Share from which a window is used up, with room for rounding."""
WORK = 3_000
"""Effort of a forecast, in windows moved on: a few milliseconds. It is not seen to run dry later than that."""

_LENGTH = re.compile(r"(\d{1,3})([mhdw])(?![a-z0-9])")
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}
_USUAL = 7 * 86_400.0
"""Length of a window whose name tells none, in seconds."""

Rank = tuple[float, bool, bool, float]
Paces = Mapping[str, float]
"""By window, the share that all accounts together use per second."""


class Dry(NamedTuple):
    """From when the pool has no headroom, and until when; None if nobody knows."""

    start: float
    end: float | None


@dataclass(slots=True)
class Fill:
    """How far a window is used at a moment of the forecast, and when it is reset."""

    used: float
    reset: float | None
    length: float


@dataclass(slots=True)
class Supply:
    """A subscription in the forecast, with its windows by name. It does not serve before `back_at`."""

    fills: dict[str, Fill]
    back_at: float = -math.inf
    weight: float = 1.0
    priority: int = 0
    primary: bool = False
    fallback: float = 0.5

    def first_reset(self) -> float:
        return min((fill.reset for fill in self.fills.values() if fill.reset), default=math.inf)

    def out_until(self) -> float:
        """Return from when it serves: the reset of its last window that is used up, infinite if that is unknown."""
        resets = [fill.reset or math.inf for fill in self.fills.values() if fill.used >= FULL]
        return max((self.back_at, *resets))

    def roll(self, now: float) -> None:
        """Empty the windows whose reset has passed."""
        for fill in self.fills.values():
            if fill.reset is not None and fill.reset <= now:
                fill.used, fill.reset = 0.0, None

    def rank(self) -> Rank:
        """Return its place under quota-aware, lowest first."""
        past = any(fill.used >= self.fallback - 1e-9 for fill in self.fills.values())
        return -self.priority, past, not self.primary, self.first_reset()

    def next_change(self, paces: Paces, share: float, now: float) -> float:
        """Return when a window is used up, past the fallback percentage, or reset, if it serves `share` of all."""
        moments = [math.inf]
        for name, fill in self.fills.items():
            if fill.reset is not None:
                moments.append(fill.reset)
            if speed := paces.get(name, 0.0) * share:
                ends = (1.0, self.fallback) if fill.used < self.fallback < 1 else (1.0,)
                moments += [now + (end - fill.used) / speed for end in ends]
        return min(moments)

    def use(self, paces: Paces, share: float, now: float, until: float) -> None:
        """Serve `share` of all requests from `now` to `until`."""
        for name, fill in self.fills.items():
            if speed := paces.get(name, 0.0) * share:
                fill.used += speed * (until - now)
                fill.reset = now + fill.length if fill.reset is None else fill.reset


def fills_of(windows: Windows, names: Iterable[str], now: float) -> dict[str, Fill]:
    """Return the windows of an account as they are now; those of `names` that it has not reported are empty."""
    fills = {name: Fill(0.0, None, length_of(name)) for name in names}
    for name, window in windows.items():
        used = 1.0 if window.is_used_up else min(window.utilization or 0.0, FULL - 1e-6)
        # a window that is used up, and of which nobody knows when it is reset, holds the account only while it cools
        used = 0.0 if window.is_used_up and window.reset is None else used
        fills[name] = Fill(used, window.reset if window.is_current(now) else None, length_of(name))
    return fills


@lru_cache(256)
def length_of(window: str) -> float:
    """Return the seconds that a window lasts, by its name."""
    match = _LENGTH.match(window)
    seconds = int(match[1]) * _UNITS[match[2]] if match else _USUAL
    return seconds if 0 < seconds <= LONGEST_WINDOW else _USUAL


def runs_dry(
    supplies: Sequence[Supply], paces: Paces, strategy: str, now: float, work: float = WORK
) -> Dry | None:
    """Return when no account has headroom for the first time; None if that is not to be seen, or without accounts.

    `supplies` are in the order of the pool; they are used up in the forecast.
    """
    at, horizon = now, now + LONGEST_WINDOW
    outs, resets = [0.0] * len(supplies), [0.0] * len(supplies)
    ranks = [supply.rank() for supply in supplies]
    changed: Iterable[int] = range(len(supplies))
    while supplies and work > 0:
        for n in changed:
            supplies[n].roll(at)
            outs[n], resets[n] = supplies[n].out_until(), supplies[n].first_reset()
            ranks[n] = supplies[n].rank()
        ready = [n for n, out in enumerate(outs) if out <= at]
        if not ready:
            end = min(outs)
            return Dry(at, end if math.isfinite(end) else None)
        shares = _shares(supplies, ready, ranks, strategy)
        changes = [supplies[n].next_change(paces, share, at) for n, share in shares.items()]
        until = min((*changes, *resets, *(out for out in outs if out > at)))
        until = max(until, at + 1e-3)  # each step goes ahead, whatever rounding does
        if until > horizon:
            return None
        for n, share in shares.items():
            supplies[n].use(paces, share, at, until)
        at = until
        changed = {*shares, *(n for n, reset in enumerate(resets) if reset <= at)}
        work -= len(supplies) / 10 + len(shares) * (len(paces) + 1)
    return None


def _shares(
    supplies: Sequence[Supply], ready: Sequence[int], ranks: Sequence[Rank], strategy: str
) -> Mapping[int, float]:
    """Return the accounts that serve, of those that are `ready`, each with its share of the requests."""
    if strategy == "quota-aware":
        return {min(ready, key=ranks.__getitem__): 1.0}
    if strategy != "round-robin":
        return {ready[0]: 1.0}
    first = max(supplies[n].priority for n in ready)
    tier = {n: supplies[n].weight for n in ready if supplies[n].priority == first}
    weights = sum(tier.values())
    return {n: weight / weights for n, weight in tier.items()}
