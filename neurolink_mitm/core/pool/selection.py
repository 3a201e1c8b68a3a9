"""The strategies by which the next account is selected.

A strategy ranks each eligible account by itself, and selects one of all that are left, in the order of their ranks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from operator import add
from typing import Protocol

from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.ready import Verdict


@dataclass(frozen=True, slots=True)
class Candidate:
    """An eligible account for requests of `model`, and its quota if upstream has reported one."""

    account: Account
    quota: Quota | None = None
    primary: bool = False
    model: str | None = None


class SelectionStrategy(Protocol):
    """How one of the eligible accounts is selected."""

    def verdict(self, candidate: Candidate, now: float) -> Verdict:
        """Return the rank of an eligible account, and until when it holds if nothing else changes."""

    def select(self, left: Sequence[Account]) -> Account:
        """Return the account that is used, of at least one in the order of rank and pool."""


class FillFirst:
    """Selects the first account in pool order: one is used up before the next is touched."""

    def verdict(self, candidate: Candidate, now: float) -> Verdict:
        return Verdict(())

    def select(self, left: Sequence[Account]) -> Account:
        return left[0]


class RoundRobin:
    """Smooth weighted round-robin among the accounts of the highest priority; lower ones are overflow.

    Each turn adds its weight to every account and takes the sum from the selected one: over a cycle the shares are
    exact, without bursts. Source: nginx, ngx_http_upstream_round_robin.c.
    """

    def __init__(self) -> None:
        self._credit: dict[str, float] = {}
        """By account key. Those of `_tier` are in `_credits`."""
        self._left: Sequence[Account] = ()
        self._tier: Sequence[Account] = ()
        self._weights: Sequence[float] = ()
        self._credits: list[float] = []

    def verdict(self, candidate: Candidate, now: float) -> Verdict:
        return Verdict((-candidate.account.priority,))

    def select(self, left: Sequence[Account]) -> Account:
        if left is not self._left:
            self._turn_to(left)
        credits = list(map(add, self._credits, self._weights))
        turn = credits.index(max(credits))
        credits[turn] -= sum(self._weights)
        self._credits = credits
        return self._tier[turn]

    def _turn_to(self, left: Sequence[Account]) -> None:
        """Go on with the accounts `left`, which are others than at the turn before."""
        self._credit.update(
            {each.key: credit for each, credit in zip(self._tier, self._credits, strict=True)}
        )
        self._left = left
        self._tier = list(takewhile(lambda each: each.priority == left[0].priority, left))
        self._weights = [account.weight for account in self._tier]
        self._credits = [self._credit.get(account.key, 0.0) for account in self._tier]


class QuotaAware:
    """Selects among those with headroom the one whose window is reset first: what is left there expires.

    Only the windows of the asked model count.
    """

    def verdict(self, candidate: Candidate, now: float) -> Verdict:
        quota, model = candidate.quota, candidate.model
        past = quota is not None and quota.past_fallback(model, now)
        reset = quota.next_reset(model, now) if quota else None
        tier = -candidate.account.priority
        return Verdict(
            (tier, past, not candidate.primary, math.inf if reset is None else reset),
            quota.changes_at(now) if quota else math.inf,
        )

    def select(self, left: Sequence[Account]) -> Account:
        return left[0]


STRATEGIES: Mapping[str, Callable[[], SelectionStrategy]] = {
    "fill-first": FillFirst,
    "round-robin": RoundRobin,
    "quota-aware": QuotaAware,
}
"""Makers of strategies: one may have state, so each pool makes its own."""
