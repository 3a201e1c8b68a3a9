"""How the next account is selected: by a strategy, or by session affinity, since a prompt cache is an account's.

A strategy gets the eligible accounts in pool order, at least one.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.quota import Quota


@dataclass(frozen=True, slots=True)
class Candidate:
    """An eligible account, and its quota if upstream has reported one."""

    account: Account
    quota: Quota | None = None
    primary: bool = False


SelectionStrategy = Callable[[Sequence[Candidate], float], Account]


def fill_first(candidates: Sequence[Candidate], now: float) -> Account:
    """Select the first account in pool order: one is used up before the next is touched."""
    return candidates[0].account


class RoundRobin:
    """Smooth weighted round-robin among the accounts of the highest priority.

    Each turn adds its weight to every account and takes the sum from the selected one: over a cycle the shares are
    exact, without bursts. Source: nginx, ngx_http_upstream_round_robin.c.
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
    """Return the accounts of the highest priority; lower ones are overflow."""
    top = max(candidate.account.priority for candidate in candidates)
    return [c.account for c in candidates if c.account.priority == top]


def quota_aware(candidates: Sequence[Candidate], now: float) -> Account:
    """Select among those with headroom the one whose window is reset first: what is left there expires."""

    def rank(candidate: Candidate) -> tuple[float, bool, bool, float]:
        quota = candidate.quota
        past = quota is not None and quota.past_fallback(now)
        reset = quota.next_reset(now) if quota else None
        tier = -candidate.account.priority
        return tier, past, not candidate.primary, math.inf if reset is None else reset

    return min(candidates, key=rank).account  # the first of equals, in pool order


STRATEGIES: Mapping[str, Callable[[], SelectionStrategy]] = {
    "fill-first": lambda: fill_first,
    "round-robin": RoundRobin,
    "quota-aware": lambda: quota_aware,
}
"""Makers of strategies: one may have state, so each pool makes its own."""

CAPACITY = 10_000
"""Sessions with a home account; the least recently used one is dropped."""
LIFETIME = 3600.0
"""Seconds without a request after which a session has no home: its prompt cache has expired."""


class Affinity:
    """A bounded map from session to account key, least recently used first."""

    def __init__(self, capacity: int = CAPACITY, lifetime: float = LIFETIME) -> None:
        self._capacity = capacity
        self._lifetime = lifetime
        self._homes: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def home(self, session: str | None, now: float) -> str | None:
        if session is None or (home := self._homes.get(session)) is None:
            return None
        key, used_at = home
        return key if now - used_at < self._lifetime else None

    def served(self, session: str | None, key: str, now: float, *, moves: bool = False) -> None:
        """Make the account that served the session its home, if it has none or `moves`."""
        if session is None:
            return
        home = None if moves else self.home(session, now)
        self._homes[session] = (home or key, now)
        self._homes.move_to_end(session)
        if len(self._homes) > self._capacity:
            self._homes.popitem(last=False)

    def forget(self, key: str) -> None:
        """Remove an account; its sessions have no home any more."""
        for session in [s for s, (home, _) in self._homes.items() if home == key]:
            del self._homes[session]
