"""The choice as it is defined: every account is judged at every request. `Pool` has to choose the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence

from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Choice, Requirements
from neurolink_mitm.core.pool.choosing import session_of
from neurolink_mitm.core.pool.persisted import PersistedState, fingerprint
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.selection import Candidate

Select = Callable[[Sequence[Candidate], float], Account]


def fill_first(candidates: Sequence[Candidate], now: float) -> Account:
    return candidates[0].account


class RoundRobin:
    def __init__(self) -> None:
        self._credit: dict[str, float] = {}

    def __call__(self, candidates: Sequence[Candidate], now: float) -> Account:
        top = max(candidate.account.priority for candidate in candidates)
        tier = [c.account for c in candidates if c.account.priority == top]
        for account in tier:
            self._credit[account.key] = self._credit.get(account.key, 0.0) + account.weight
        chosen = max(tier, key=lambda account: self._credit[account.key])
        self._credit[chosen.key] -= sum(account.weight for account in tier)
        return chosen


def quota_aware(candidates: Sequence[Candidate], now: float) -> Account:
    def rank(candidate: Candidate) -> tuple[float, bool, bool, float]:
        quota, model = candidate.quota, candidate.model
        past = quota is not None and quota.past_fallback(model, now)
        reset = quota.next_reset(model, now) if quota else None
        tier = -candidate.account.priority
        return tier, past, not candidate.primary, math.inf if reset is None else reset

    return min(candidates, key=rank).account


SELECT: Mapping[str, Callable[[], Select]] = {
    "fill-first": lambda: fill_first,
    "round-robin": RoundRobin,
    "quota-aware": lambda: quota_aware,
}


class LinearPool(Pool):
    """Chooses by a look at every account."""

    def __init__(self, accounts: Sequence[Account], strategy: str, **how: bool) -> None:
        super().__init__(accounts, strategy, **how)
        self._select = SELECT[strategy]()

    def configure(self, strategy: str, *, affinity: bool, primary: str | None) -> None:
        if strategy != self.strategy:
            self._select = SELECT[strategy]()
        super().configure(strategy, affinity=affinity, primary=primary)

    def choose(self, requirements: Requirements, now: float, tried: Collection[str] = ()) -> Choice:
        ineligible = self.ineligible(requirements, now)
        left = [a for a in self.accounts if a.key not in ineligible and a.key not in tried]
        if not left:
            return Choice(None, self.strategy, ineligible)
        if home := self._home_among(left, requirements, now):
            return Choice(home, "session affinity", ineligible)
        candidates = [
            Candidate(a, self.account_state(a.key).quota, self.is_primary(a), requirements.model)
            for a in left
        ]
        return Choice(self._select(candidates, now), self.strategy, ineligible)

    def _home_among(
        self, left: Sequence[Account], requirements: Requirements, now: float
    ) -> Account | None:
        keys = self._affinity.accounts(session_of(requirements), now) if self._affinity else ()
        by_key = {account.key: account for account in left}
        plan = any(account.type == "oauth" for account in left)
        homes = [by_key[key] for key in keys if key in by_key]
        return next((home for home in homes if not (plan and home.type == "api_key")), None)

    def cooldowns(self) -> dict[str, PersistedState]:
        return {
            a.key: PersistedState(fingerprint(a.secret), dict(self.account_state(a.key).cooldowns))
            for a in self.targets
            if self.account_state(a.key).cooldowns
        }

    def quotas(self) -> dict[str, Quota]:
        states = {account.key: self.account_state(account.key) for account in self.targets}
        return {key: state.quota for key, state in states.items() if state.quota}
