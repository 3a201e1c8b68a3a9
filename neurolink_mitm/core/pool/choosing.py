"""Which account the next request uses, or what it waits for: by strategy, session affinity, probes and ramps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from neurolink_mitm.core.cost.budget import Budget, is_paid
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.affinity import Affinity, Session, group_of
from neurolink_mitm.core.pool.choice import Choice, Requirements
from neurolink_mitm.core.pool.eligibility import Eligibility
from neurolink_mitm.core.pool.ready import Kind, Ready, ReadyByKind, Verdict
from neurolink_mitm.core.pool.selection import STRATEGIES, Candidate, SelectionStrategy
from neurolink_mitm.core.pool.waits import Waits

NAMED = 10
"""Ineligible accounts whose reasons a choice has: rows of the log would grow with the pool."""

AffinityMaker = Callable[[Affinity | None], Affinity]


def _make_affinity(_: Affinity | None) -> Affinity:
    return Affinity()


class Choosing(Eligibility):
    """Chooses accounts; what depends on their state is kept from one request to the next, and renewed by `_touch`."""

    def __init__(
        self,
        accounts: Sequence[Account],
        fallbacks: Sequence[Account],
        budget: Budget | None,
        strategy: str,
        *,
        affinity: bool,
        primary: str | None,
    ) -> None:
        self.strategy = strategy
        self._strategy = STRATEGIES[strategy]()
        self._make_affinity: AffinityMaker = _make_affinity
        self._affinity = self._make_affinity(None) if affinity else None
        self._primary = primary
        self.short: set[str] = set()
        """Keys of accounts whose slots (`maxConcurrent`) other replicas have; empty where there are none."""
        super().__init__(accounts, fallbacks, budget)
        self._waits = Waits(self._states)

    def _take(self, accounts: Iterable[Account], fallbacks: Iterable[Account]) -> None:
        super()._take(accounts, fallbacks)
        self._ready = ReadyByKind(self.accounts, self._verdict)

    def _touch(self, key: str) -> None:
        """Note that the state of an account has changed."""
        self._ready.touch(key)
        self._waits.touch(key)
        self.on_change()

    def _touch_all(self) -> None:
        self._ready.clear()
        self.on_change()

    def configure(self, strategy: str, *, affinity: bool, primary: str | None) -> None:
        """Change how accounts are chosen; the state of accounts and sessions stays."""
        if strategy != self.strategy:
            self.strategy = strategy
            self._strategy = STRATEGIES[strategy]()
        if affinity != (self._affinity is not None):
            self._affinity = self._make_affinity(None) if affinity else None
        self._primary = primary
        self._ready.clear()
        self.on_change()

    @property
    def affinity(self) -> Affinity | None:
        """None where sessions have no home."""
        return self._affinity

    def keep_sessions(self, make: AffinityMaker) -> None:
        """Keep sessions by what `make` returns; it gets what they were kept by, None where they had no home."""
        self._make_affinity = make
        self._affinity = make(self._affinity) if self._affinity else None

    def choose(
        self,
        requirements: Requirements,
        now: float,
        tried: Collection[str] = (),
        *,
        waits: bool = False,
    ) -> Choice:
        """Return the account that the next request uses; `tried` are the keys of those that it has used.

        If the request `waits`, the choice may be to wait: for a probe instead of paying, or for its turn in a ramp.
        Nothing changes but the state of the strategy itself (the turns of round-robin).
        """
        return self._choose(requirements, now, tried, self._strategy, waits=waits)

    def preview(self, requirements: Requirements, now: float) -> Choice:
        """Return what `choose` would, with the reasons of all ineligible accounts, and change nothing."""
        # a copy is enough: a turn changes no credits, but makes new ones
        choice = self._choice(requirements, now, (), copy.copy(self._strategy), waits=True)
        return replace(choice, ineligible=self.ineligible(requirements, now), others=0)

    def next_after(
        self, account: Account, requirements: Requirements, now: float
    ) -> Account | None:
        """Return the account that would be asked if `account` failed now, and change nothing."""
        strategy = copy.copy(self._strategy)
        return self._choice(requirements, now, (account.key,), strategy, waits=False).account

    def foresee(
        self, requirements: Requirements, now: float, tried: Collection[str] = ()
    ) -> Choice:
        """Return what `choose` would for a request that waits, and change nothing."""
        return self._choose(requirements, now, tried, copy.copy(self._strategy), waits=True)

    def admits(self, key: str, requirements: Requirements, now: float) -> bool:
        """Return whether an account that was chosen a moment ago may still serve: others may have begun meanwhile."""
        account = self._targets.get(key)
        if account is None or not account.is_anthropic:
            return True
        full = self._waits.full_until(key, requirements, now)
        return not (full or self._reason(account, requirements, now))

    def choose_fallback(
        self,
        keys: Sequence[str],
        requirements: Requirements,
        now: float,
        tried: Collection[str] = (),
    ) -> Choice:
        """Return the first of the fallbacks `keys` that is eligible and not among `tried`."""
        ineligible = self.ineligible_fallbacks(keys, requirements, now)
        left = {a.key: a for a in self.fallbacks if a.key not in ineligible and a.key not in tried}
        chosen = next((left[key] for key in keys if key in left), None)
        return Choice(chosen, "fallback-chain", ineligible)

    def _choose(
        self,
        requirements: Requirements,
        now: float,
        tried: Collection[str],
        strategy: SelectionStrategy,
        *,
        waits: bool = False,
    ) -> Choice:
        choice = self._choice(requirements, now, tried, strategy, waits=waits)
        for key in tuple(self.short):  # a held request has `tried` those that it waits for
            until = self._ask_for_more(key, choice.account, requirements, now)
            if key in tried or choice.account or choice.wait_until is not None:
                continue
            if waits and until is not None:
                return replace(choice, wait_until=until, waits_for=f"a slot of {key}")
        return choice

    def _ask_for_more(
        self, key: str, chosen: Account | None, requirements: Requirements, now: float
    ) -> float | None:
        """Have the account `key`, which is short of slots, get one if the request would have used it.

        Return until when that is worth waiting for.
        """
        account, state, of = self._targets.get(key), self._states.get(key), requirements
        if account is None or state is None or not account.is_anthropic:
            return None
        if chosen and self._after(account, chosen, now):
            return None
        if not state.suits(account, of.model, of.claude_code, now, of.endpoint):
            return None
        return state.limits.ask_for_more(account, state.in_flight, now)

    def _after(self, account: Account, chosen: Account, now: float) -> bool:
        """Return whether the strategy has `account` after `chosen`."""
        candidates = [self._candidate(each, None) for each in (account, chosen)]
        ranks = [self._strategy.verdict(candidate, now).rank or () for candidate in candidates]
        if ranks[0] != ranks[1] or self.strategy == "round-robin":
            return ranks[0] > ranks[1]
        keys = (account.key, chosen.key)
        return next(each.key for each in self.accounts if each.key in keys) == chosen.key

    def _choice(
        self,
        requirements: Requirements,
        now: float,
        tried: Collection[str],
        strategy: SelectionStrategy,
        *,
        waits: bool,
    ) -> Choice:
        ready = self._ready.of(self._kind(requirements, now), now)
        ineligible = self._ineligible(ready.ineligible()[:NAMED], requirements, now)
        others = len(ready.ineligible()) - len(ineligible)
        left = ready.eligible(tried)
        if waits and (probe := self._awaited(left, requirements, now, tried)):
            waits_for = f"the probe of {probe[0].key}"
            return Choice(None, self.strategy, ineligible, others, probe[1], waits_for)
        if not left:
            return Choice(None, self.strategy, ineligible, others)
        home = self._home(requirements, ready, left, now, tried)
        if home is None and self._affinity:
            strategy = self._affinity.placing(session_of(requirements), strategy)
        if waits:
            chosen = home or self._waits.select(strategy, left, requirements, now)
            until = self._waits.full_until(chosen.key, requirements, now)
        else:
            chosen, until = home or strategy.select(left), None
        if until is not None:
            waits_for = f"its turn on {chosen.key}"
            return Choice(None, self.strategy, ineligible, others, until, waits_for)
        return Choice(chosen, "session affinity" if home else self.strategy, ineligible, others)

    def _awaited(
        self,
        left: Sequence[Account],
        requirements: Requirements,
        now: float,
        tried: Collection[str],
    ) -> tuple[Account, float] | None:
        """Return an account whose probe is worth waiting for, and until when.

        It is where its success spares the request an account that costs more, another provider, or a refusal.
        """
        if not self._waits.any_probe or (left and not self._has_subscription):
            return None
        if any(account.type == "oauth" for account in left):
            return None
        for account, until in self._waits.probed(self._targets, requirements, now):
            spares = not left or self._spares(account, left[0], requirements.model, now)
            tells = account.key not in tried and not self._over_budget(account, requirements, now)
            if spares and tells:
                return account, until
        return None

    def _spares(self, account: Account, first: Account, model: str | None, now: float) -> bool:
        """Return whether `account` is a subscription that would be chosen before `first`, which is none."""
        if account.type != "oauth":
            return False
        candidates = [self._candidate(each, model) for each in (account, first)]
        ranks = [self._strategy.verdict(candidate, now).rank or () for candidate in candidates]
        if ranks[0] != ranks[1]:
            return ranks[0] < ranks[1]
        return self.accounts.index(account) < self.accounts.index(first)

    def _kind(self, requirements: Requirements, now: float) -> Kind:
        key = self._an_api_key
        paid = key is not None and self._over_budget(key, requirements, now) is None
        return Kind(requirements.claude_code, requirements.model, requirements.endpoint, paid)

    def _verdict(self, kind: Kind, account: Account, now: float) -> Verdict:
        state = self._states[account.key]
        reason = state.ineligible(account, kind.model, kind.claude_code, now, kind.endpoint)
        until = state.changes_at(account, now)
        if reason or (is_paid(account) and not kind.paid):
            return Verdict(None, until)
        verdict = self._strategy.verdict(self._candidate(account, kind.model), now)
        return Verdict(verdict.rank, min(verdict.until, until))

    def _candidate(self, account: Account, model: str | None) -> Candidate:
        quota = self._states[account.key].quota
        return Candidate(account, quota, self.is_primary(account), model)

    def _home(
        self,
        requirements: Requirements,
        ready: Ready,
        left: Sequence[Account],
        now: float,
        tried: Collection[str],
    ) -> Account | None:
        """Return the first of the session's accounts that is eligible, was not `tried`, and is not too dear."""
        if not self._affinity:
            return None
        keys = self._affinity.accounts(session_of(requirements), now)
        homes = (ready.find(key) for key in keys if key not in tried)
        return next((home for home in homes if home and not self._is_dearer(home, left)), None)

    def _move(self, requirements: Requirements, key: str, now: float) -> None:
        """Note that the session's prompt cache is at the account `key` now."""
        if self._affinity and self._targets[key].type != "provider":
            session = session_of(requirements)
            moves = self._leaves_paid_calls(self._affinity.home(session, now), key)
            self._affinity.served(session, key, now, moves=moves)

    def _leaves_paid_calls(self, home: str | None, key: str) -> bool:
        """Return whether a session moves home from an API key to the subscription `key` (see `_is_dearer`)."""
        before = self._targets.get(home or "")
        return before is not None and (before.type, self._targets[key].type) == ("api_key", "oauth")

    def _is_dearer(self, home: Account, left: Sequence[Account]) -> bool:
        """Return whether `home` is paid per use, and a subscription is `left`."""
        if home.type != "api_key" or not self._has_subscription:
            return False
        return any(account.type == "oauth" for account in left)

    def is_primary(self, account: Account) -> bool:
        return self._primary is not None and self._primary in (account.label, account.key)


def session_of(requirements: Requirements) -> Session | None:
    """Return what a request's home is kept by; None without a session."""
    session = requirements.session
    return None if session is None else (session, group_of(requirements.model))
