"""The pool: which accounts there are, and which one the next request takes.

Models of other providers are in it too, for when no account can.

It keeps state but no clock: every call says what time it is (seconds since the epoch).
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from neurolink_mitm.core.cost.budget import Budget, Charge
from neurolink_mitm.core.failover.errors import Failure, FailureStage, classify
from neurolink_mitm.core.pool import quota
from neurolink_mitm.core.pool import selection as rotation
from neurolink_mitm.core.pool.account_state import AccountState, Ineligible
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.cooldown import Cooldown, in_bounds
from neurolink_mitm.core.pool.quota import Quota, scope_of
from neurolink_mitm.core.pool.selection import Affinity
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.request import endpoints, headers
from neurolink_mitm.core.request.headers import Fields


@dataclass(frozen=True, slots=True)
class Requirements:
    """What of a request decides who may serve it."""

    claude_code: bool = False
    model: str | None = None
    session: str | None = None
    charge: Charge = Charge.TOLD
    """How its cost is known; for what is bounded by a cap."""
    endpoint: str = endpoints.MESSAGES
    """One of `endpoints.ENDPOINTS`."""


@dataclass(frozen=True, slots=True)
class CooldownResult:
    """What a failure did to its account: benched for `seconds`, 0 if not at all."""

    seconds: float
    level: int
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Choice:
    """The account to take, if any, and why others were passed over, by their keys."""

    account: Account | None
    rule: str
    skipped: Mapping[str, Ineligible]

    @property
    def why(self) -> str:
        """One line for the log."""
        passed = "; ".join(f"skipped {key}: {skip.reason}" for key, skip in self.skipped.items())
        taken = f"took {self.account.key} by {self.rule}" if self.account else "no account left"
        return f"{taken}; {passed}" if passed else taken


@dataclass(frozen=True, slots=True)
class PersistedState:
    """An account's cooldowns by scope, and a fingerprint of the credential they were met with."""

    credential: str
    scopes: Mapping[str, Cooldown]


def fingerprint(secret: Secret) -> str:
    """Tells one credential from another and says nothing of either."""
    return hashlib.sha256(secret.reveal().encode("utf-8", "surrogatepass")).hexdigest()[:12]


class Pool:
    """The accounts in order, and the standing of each."""

    def __init__(
        self,
        accounts: Sequence[Account],
        strategy: str = "fill-first",
        *,
        affinity: bool = True,
        primary: str | None = None,
        others: Sequence[Account] = (),
        budget: Budget | None = None,
    ) -> None:
        """`others` are models of other providers: never chosen by `choose`, but else treated alike."""
        self.accounts = tuple(accounts)
        self.others = tuple(others)
        self.budget = budget or Budget()
        self.strategy = strategy
        self.changes = 0  # of cooldowns; whoever writes them down compares it
        self._choose = rotation.STRATEGIES[strategy]()
        self._affinity = Affinity() if affinity else None
        self._primary = primary
        self._standing = {account.key: AccountState() for account in self.everyone}

    @property
    def everyone(self) -> tuple[Account, ...]:
        """The accounts, and the other providers' models."""
        return (*self.accounts, *self.others)

    def standing(self, key: str) -> AccountState:
        return self._standing[key]

    def update(self, accounts: Sequence[Account], others: Sequence[Account] | None = None) -> None:
        """Take over another set of accounts. Who stays keeps its standing, unless its credential is new or
        it was disabled until now: then it is tried at once.
        """
        before = {account.key: account for account in self.everyone}
        others = self.others if others is None else tuple(others)
        for account in (*accounts, *others):
            known = before.pop(account.key, None)
            if known is None:
                self._standing[account.key] = AccountState()
            elif known.secret != account.secret or (known.disabled and not account.disabled):
                self.reset(account.key)
        for key in before:
            del self._standing[key]
            if self._affinity:
                self._affinity.forget(key)
        self.accounts, self.others = tuple(accounts), others

    def configure(self, strategy: str, *, affinity: bool, primary: str | None) -> None:
        """Choose by other rules from now on; what is known of accounts and sessions stays."""
        if strategy != self.strategy:
            self.strategy = strategy
            self._choose = rotation.STRATEGIES[strategy]()
        if affinity != (self._affinity is not None):
            self._affinity = Affinity() if affinity else None
        self._primary = primary

    def newest(self, account: Account) -> Account:
        """The account as it is now: its token may have been renewed since it was chosen."""
        return next((known for known in self.everyone if known.key == account.key), account)

    def renew(
        self, key: str, secret: Secret, expires_at: float | None, **identity: str | None
    ) -> None:
        """The account has a new token; what it could not do with the old one is forgotten.

        `identity` is what came with the token: `account_uuid`, `organization_uuid`, `email`.
        """
        known = {name: value for name, value in identity.items() if value}
        self._replace(key, secret=secret, expires_at=expires_at, disabled=None, **known)
        self.reset(key)

    def disable(self, key: str, reason: str) -> None:
        """The account serves nothing until it is logged in again."""
        self._replace(key, disabled=reason)

    def _replace(self, key: str, **changes: Any) -> None:
        self.accounts = tuple(
            replace(account, **changes) if account.key == key else account
            for account in self.accounts
        )

    def reset(self, key: str) -> None:
        """Forget an account's cooldowns."""
        self.changes += 1
        if standing := self._standing.get(key):
            standing.cooldowns.clear()
            standing.probes.clear()

    def choose(self, requirements: Requirements, now: float, tried: Collection[str] = ()) -> Choice:
        """The next account for a request; accounts in `tried` had their turn.

        Changes nothing but what the strategy itself keeps (round-robin's turns).
        """
        return self._choice(requirements, now, tried, self._choose)

    def preview(self, requirements: Requirements, now: float) -> Choice:
        """What `choose` would say, with nothing changed."""
        return self._choice(requirements, now, (), copy.deepcopy(self._choose))

    def _choice(
        self,
        requirements: Requirements,
        now: float,
        tried: Collection[str],
        strategy: rotation.Strategy,
    ) -> Choice:
        skipped = self.ineligible(requirements, now)
        left = [a for a in self.accounts if a.key not in skipped and a.key not in tried]
        if not left:
            return Choice(None, self.strategy, skipped)
        home = self._home(requirements, left, now)
        if home:
            return Choice(home, "session affinity", skipped)
        candidates = [
            rotation.Candidate(a, self._standing[a.key].quota, self._is_primary(a)) for a in left
        ]
        return Choice(strategy(candidates, now), self.strategy, skipped)

    def choose_other(
        self,
        keys: Sequence[str],
        requirements: Requirements,
        now: float,
        tried: Collection[str] = (),
    ) -> Choice:
        """The next of these models of other providers, in their order."""
        skipped = self.ineligible_fallbacks(keys, requirements, now)
        known = {account.key: account for account in self.others}
        left = (known[key] for key in keys if key in known and key not in tried)
        found = next((account for account in left if account.key not in skipped), None)
        return Choice(found, "fallback-chain", skipped)

    def ineligible(self, requirements: Requirements, now: float) -> dict[str, Ineligible]:
        """Which accounts do not serve such a request now, and why."""
        beside = any(account.type == "oauth" for account in self.accounts)
        found = ((a.key, self._skip(a, requirements, now, beside)) for a in self.accounts)
        return {key: skip for key, skip in found if skip}

    def ineligible_fallbacks(
        self, keys: Collection[str], requirements: Requirements, now: float
    ) -> dict[str, Ineligible]:
        """Which of these models of other providers are not asked now, and why."""
        # they serve each client, and are a model themselves
        anybody = Requirements(charge=requirements.charge, endpoint=requirements.endpoint)
        found = ((a.key, self._skip(a, anybody, now, True)) for a in self.others)
        return {key: skip for key, skip in found if skip and key in keys}

    def _skip(
        self, account: Account, requirements: Requirements, now: float, beside: bool
    ) -> Ineligible | None:
        standing = self._standing[account.key]
        skip = standing.skip(
            account, requirements.model, requirements.claude_code, now, requirements.endpoint
        )
        return skip or self.budget.skip(
            account, now, beside_subscription=beside, charge=requirements.charge
        )

    def _home(
        self, requirements: Requirements, left: Sequence[Account], now: float
    ) -> Account | None:
        """The session's own account. It does not keep a session that a subscription could serve on paid calls."""
        key = self._affinity.home(requirements.session, now) if self._affinity else None
        home = next((account for account in left if account.key == key), None)
        if home and home.type == "api_key" and any(account.type == "oauth" for account in left):
            return None
        return home

    def _is_primary(self, account: Account) -> bool:
        return self._primary is not None and self._primary in (account.label, account.key)

    def began(self, key: str, requirements: Requirements, now: float) -> None:
        """A request goes out on this account."""
        if standing := self._standing.get(key):  # else the account has been removed meanwhile
            standing.begin(requirements.model, now, requirements.endpoint)

    def ended(self, key: str, *, sent_at: float, sent: bool = True, limited: bool = False) -> None:
        """End the attempt that began at `sent_at`, however it went.

        `sent`: upstream may have seen it; else it is no attempt. `limited`: its answer ended in a rate limit.
        """
        if standing := self._standing.get(key):
            standing.end(sent_at, sent=sent)
            standing.tally.rate_limits += limited

    def succeeded(
        self, key: str, requirements: Requirements, *, sent_at: float, now: float
    ) -> None:
        """The attempt sent at `sent_at` was answered well, which ends cooldowns of its endpoint."""
        if standing := self._standing.get(key):
            self.changes += standing.succeeded(requirements.model, sent_at, requirements.endpoint)
            cached = requirements.endpoint == endpoints.MESSAGES
            if cached and self._affinity and any(a.key == key for a in self.accounts):
                moves = self._leaves_paid_calls(self._affinity.home(requirements.session, now), key)
                self._affinity.served(requirements.session, key, now, moves=moves)

    def _leaves_paid_calls(self, home: str | None, key: str) -> bool:
        """A session whose home is an API key was served by a subscription, and will be from now on (see `_home`)."""
        types = {
            account.key: account.type for account in self.accounts if account.key in (home, key)
        }
        return types.get(home or "") == "api_key" and types.get(key) == "oauth"

    def see_limits(self, key: str, fields: Fields, now: float) -> Quota | None:
        """Any answer, good or bad, may say how far the account's limits are used."""
        said = quota.parse(fields, now)
        if standing := self._standing.get(key):
            standing.see(said)
        return said

    def failed(
        self, key: str, requirements: Requirements, failure: Failure, *, sent_at: float, now: float
    ) -> CooldownResult:
        """The attempt sent at `sent_at` failed; says for how long the account is benched."""
        rule = classify(failure)
        wait = headers.retry_after(failure.headers, now)
        if (standing := self._standing.get(key)) is None:
            return CooldownResult(0.0, 0, wait)
        reason = _reason(rule.name, failure)
        models = scope_of(failure.status, failure.headers, failure.message, requirements.model)
        state = standing.bench(
            endpoints.scope(requirements.endpoint, models),
            rule.bench,
            base=wait,
            sent_at=sent_at,
            now=now,
            reason=reason,
        )
        self.changes += state is not None
        _count(standing, failure, reason, now)
        return _benching(state, wait, now)

    def cooldowns(self) -> dict[str, PersistedState]:
        """All cooldowns by account key, as `restore` takes them."""
        return {
            a.key: PersistedState(fingerprint(a.secret), dict(self._standing[a.key].cooldowns))
            for a in self.everyone
            if self._standing[a.key].cooldowns
        }

    def quotas(self) -> dict[str, Quota]:
        """The latest word on limits, by account key."""
        return {key: s.quota for key, s in self._standing.items() if s.quota}

    def clock_moved(self, by: float) -> None:
        """The clock was set by so many seconds: no cooldown ends earlier or later for it."""
        for standing in self._standing.values():
            standing.clock_moved(by)
        self.changes += 1

    def restore(
        self,
        cooldowns: Mapping[str, PersistedState],
        quotas: Mapping[str, Quota],
        now: float | None = None,
    ) -> None:
        """Take over what an earlier run knew of these accounts; one with another credential starts clean.

        `now` bounds cooldowns that were written under a wrong clock.
        """
        for account in self.everyone:
            standing = self._standing[account.key]
            standing.see(quotas.get(account.key))
            known = cooldowns.get(account.key)
            if known and known.credential == fingerprint(account.secret):
                standing.cooldowns.update(
                    known.scopes
                    if now is None
                    else {scope: in_bounds(state, now) for scope, state in known.scopes.items()}
                )


def _benching(state: Cooldown | None, wait: float | None, now: float) -> CooldownResult:
    if state is None:
        return CooldownResult(0.0, 0, wait)
    return CooldownResult(max(0.0, state.until - now), max(0, state.level - 1), wait)


def _reason(name: str, failure: Failure) -> str:
    """What kept a request from being sent is told in full: it is this machine's affair."""
    if failure.where is FailureStage.NETWORK and not failure.sent:
        return f"{name}: {failure.message[:300]}"
    return f"{name} ({failure.status or failure.error_type})"


def _count(standing: AccountState, failure: Failure, reason: str, now: float) -> None:
    tally = standing.tally
    tally.errors += 1
    if failure.status == 429 or failure.error_type == "rate_limit_error":
        tally.rate_limits += 1
    tally.last_error_at = now
    tally.last_error = reason
