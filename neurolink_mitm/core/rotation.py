"""Strategies: which of the usable accounts comes next. All are given them in pool order, and never none."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from neurolink_mitm.core.accounts import Account
from neurolink_mitm.core.quota import Quota


@dataclass(frozen=True, slots=True)
class Candidate:
    """An account that may serve, and what is known of its limits."""

    account: Account
    quota: Quota | None = None
    primary: bool = False


Strategy = Callable[[Sequence[Candidate], float], Account]


def fill_first(candidates: Sequence[Candidate], now: float) -> Account:
    """The first one left, in pool order: one account is used up before the next is touched."""
    return candidates[0].account


class RoundRobin:
    """Smooth weighted round-robin among those of the highest priority.

    Each turn adds its weight to every account and takes the sum from the chosen one, so that over a cycle the shares
    are exact and no account is served in a burst. Source: nginx, ngx_http_upstream_round_robin.c.
    """

    def __init__(self) -> None:
        self._credit: dict[str, float] = {}

    def __call__(self, candidates: Sequence[Candidate], now: float) -> Account:
        tier = highest_tier(candidates)
        for account in tier:
            self._credit[account.key] = self._credit.get(account.key, 0.0) + account.weight
        chosen = max(tier, key=lambda account: self._credit[account.key])
        self._credit[chosen.key] -= sum(account.weight for account in tier)
        return chosen


def highest_tier(candidates: Sequence[Candidate]) -> list[Account]:
    """Lower priorities are overflow."""
    top = max(candidate.account.priority for candidate in candidates)
    return [c.account for c in candidates if c.account.priority == top]


def quota_aware(candidates: Sequence[Candidate], now: float) -> Account:
    """Those with headroom first, and of these the one whose window is reset first: what is left there expires."""

    def order(place: int) -> tuple[float, bool, bool, float, int]:
        candidate = candidates[place]
        quota = candidate.quota
        past = quota is not None and quota.past_fallback(now)
        reset = quota.next_reset(now) if quota else None
        tier = -candidate.account.priority
        return tier, past, not candidate.primary, math.inf if reset is None else reset, place

    return candidates[min(range(len(candidates)), key=order)].account


STRATEGIES: Mapping[str, Callable[[], Strategy]] = {
    "fill-first": lambda: fill_first,
    "round-robin": RoundRobin,
    "quota-aware": lambda: quota_aware,
}
"""A strategy may keep state, so each pool makes its own."""
