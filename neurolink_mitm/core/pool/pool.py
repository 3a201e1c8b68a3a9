"""The pool: which account the next request uses, and what each response changes about its account.

Models of other providers are part of the pool as fallbacks. The pool has no clock: `now` and `sent_at` are seconds
since the epoch.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from neurolink_mitm.core.cost.budget import Budget, Metering
from neurolink_mitm.core.failover.errors import RATE_LIMIT, Failure, FailureStage, classify
from neurolink_mitm.core.pool import quota
from neurolink_mitm.core.pool.account_state import AccountState, Ineligible
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.cooldown import Cooldown, in_bounds
from neurolink_mitm.core.pool.quota import Quota, scope_of
from neurolink_mitm.core.pool.selection import STRATEGIES, Affinity, Candidate, SelectionStrategy
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.request import endpoints, headers
from neurolink_mitm.core.request.headers import Fields


@dataclass(frozen=True, slots=True)
class Requirements:
    """The properties of a request that decide which accounts may serve it."""

    claude_code: bool = False
    model: str | None = None
    session: str | None = None
    metering: Metering = Metering.METERED
    endpoint: str = endpoints.MESSAGES
    """One of `endpoints.ENDPOINTS`."""


@dataclass(frozen=True, slots=True)
class CooldownResult:
    """What a failure did to its account: a cooldown of `seconds`, 0 for none."""

    seconds: float
    level: int
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Choice:
    """The account that the next request uses, if any, the rule that chose it, and the ineligible accounts by key."""

    account: Account | None
    rule: str
    ineligible: Mapping[str, Ineligible]

    @property
    def why(self) -> str:
        skipped = "; ".join(
            f"skipped {key}: {each.reason}" for key, each in self.ineligible.items()
        )
        taken = f"took {self.account.key} by {self.rule}" if self.account else "no account left"
        return f"{taken}; {skipped}" if skipped else taken


@dataclass(frozen=True, slots=True)
class PersistedState:
    """An account's cooldowns by scope, and a fingerprint of the credential they belong to."""

    credential: str
    scopes: Mapping[str, Cooldown]


def fingerprint(secret: Secret) -> str:
    """Return 12 hex digits that tell one credential from another and reveal neither."""
    return hashlib.sha256(secret.reveal().encode("utf-8", "surrogatepass")).hexdigest()[:12]


class Pool:
    """The accounts and the fallbacks in order, and the state of each."""

    def __init__(
        self,
        accounts: Sequence[Account],
        strategy: str = "fill-first",
        *,
        affinity: bool = True,
        primary: str | None = None,
        fallbacks: Sequence[Account] = (),
        budget: Budget | None = None,
    ) -> None:
        """`fallbacks` are models of other providers: `choose_fallback` chooses them, `choose` never does."""
        self.accounts = tuple(accounts)
        self.fallbacks = tuple(fallbacks)
        self.budget = budget or Budget()
        self.strategy = strategy
        self.changes = 0
        """Counts changes of cooldowns: the state is persisted when it differs."""
        self._strategy = STRATEGIES[strategy]()
        self._affinity = Affinity() if affinity else None
        self._primary = primary
        self._states = {account.key: AccountState() for account in self.targets}

    @property
    def targets(self) -> tuple[Account, ...]:
        return (*self.accounts, *self.fallbacks)

    def account_state(self, key: str) -> AccountState:
        return self._states[key]

    def update(
        self, accounts: Sequence[Account], fallbacks: Sequence[Account] | None = None
    ) -> None:
        """Replace the accounts, and the fallbacks unless None.

        A target that stays keeps its state. Its cooldowns end if its credential is new, or if it was disabled so far.
        """
        before = {account.key: account for account in self.targets}
        fallbacks = self.fallbacks if fallbacks is None else tuple(fallbacks)
        for account in (*accounts, *fallbacks):
            old = before.pop(account.key, None)
            if old is None:
                self._states[account.key] = AccountState()
            elif old.secret != account.secret or (old.disabled and not account.disabled):
                self.reset(account.key)
        for key in before:
            del self._states[key]
            if self._affinity:
                self._affinity.forget(key)
        self.accounts, self.fallbacks = tuple(accounts), fallbacks

    def configure(self, strategy: str, *, affinity: bool, primary: str | None) -> None:
        """Change how accounts are chosen; the state of accounts and sessions stays."""
        if strategy != self.strategy:
            self.strategy = strategy
            self._strategy = STRATEGIES[strategy]()
        if affinity != (self._affinity is not None):
            self._affinity = Affinity() if affinity else None
        self._primary = primary

    def newest(self, account: Account) -> Account:
        """Return `account` with its present token, which may have been refreshed since it was chosen."""
        return next((each for each in self.targets if each.key == account.key), account)

    def renew(
        self, key: str, secret: Secret, expires_at: float | None, **identity: str | None
    ) -> None:
        """Give an account a new token, and end its cooldowns.

        `identity` came with the token: `account_uuid`, `organization_uuid`, `email`.
        """
        identity = {name: value for name, value in identity.items() if value}
        self._replace(key, secret=secret, expires_at=expires_at, disabled=None, **identity)
        self.reset(key)

    def disable(self, key: str, reason: str) -> None:
        """Make an account ineligible until the next login."""
        self._replace(key, disabled=reason)

    def _replace(self, key: str, **changes: Any) -> None:
        self.accounts = tuple(
            replace(account, **changes) if account.key == key else account
            for account in self.accounts
        )

    def reset(self, key: str) -> None:
        self.changes += 1
        if state := self._states.get(key):
            state.cooldowns.clear()
            state.probes.clear()

    def choose(self, requirements: Requirements, now: float, tried: Collection[str] = ()) -> Choice:
        """Return the account that the next request uses; `tried` are the keys of those that it has used.

        Nothing changes but the state of the strategy itself (the turns of round-robin).
        """
        return self._choose(requirements, now, tried, self._strategy)

    def preview(self, requirements: Requirements, now: float) -> Choice:
        """Return what `choose` would, and change nothing."""
        return self._choose(requirements, now, (), copy.deepcopy(self._strategy))

    def _choose(
        self,
        requirements: Requirements,
        now: float,
        tried: Collection[str],
        strategy: SelectionStrategy,
    ) -> Choice:
        ineligible = self.ineligible(requirements, now)
        left = [a for a in self.accounts if a.key not in ineligible and a.key not in tried]
        if not left:
            return Choice(None, self.strategy, ineligible)
        if home := self._home(requirements, left, now):
            return Choice(home, "session affinity", ineligible)
        candidates = [Candidate(a, self._states[a.key].quota, self._is_primary(a)) for a in left]
        return Choice(strategy(candidates, now), self.strategy, ineligible)

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

    def ineligible(self, requirements: Requirements, now: float) -> dict[str, Ineligible]:
        """Return the accounts that may not serve such a request now, by key."""
        beside = any(account.type == "oauth" for account in self.accounts)
        return self._ineligible(self.accounts, requirements, now, beside_subscription=beside)

    def ineligible_fallbacks(
        self, keys: Collection[str], requirements: Requirements, now: float
    ) -> dict[str, Ineligible]:
        """Return those of the fallbacks `keys` that may not serve such a request now."""
        # they serve every client, and are a model themselves
        anybody = Requirements(metering=requirements.metering, endpoint=requirements.endpoint)
        fallbacks = (account for account in self.fallbacks if account.key in keys)
        return self._ineligible(fallbacks, anybody, now, beside_subscription=True)

    def _ineligible(
        self,
        targets: Iterable[Account],
        requirements: Requirements,
        now: float,
        *,
        beside_subscription: bool,
    ) -> dict[str, Ineligible]:
        model, claude_code = requirements.model, requirements.claude_code
        endpoint, metering = requirements.endpoint, requirements.metering
        reasons = (
            (
                a.key,
                self._states[a.key].ineligible(a, model, claude_code, now, endpoint)
                or self.budget.ineligible(
                    a, now, beside_subscription=beside_subscription, metering=metering
                ),
            )
            for a in targets
        )
        return {key: reason for key, reason in reasons if reason}

    def _home(
        self, requirements: Requirements, left: Sequence[Account], now: float
    ) -> Account | None:
        """Return the session's home account, unless it is paid per use and a subscription is among `left`."""
        key = self._affinity.home(requirements.session, now) if self._affinity else None
        home = next((account for account in left if account.key == key), None)
        if home and home.type == "api_key" and any(account.type == "oauth" for account in left):
            return None
        return home

    def _is_primary(self, account: Account) -> bool:
        return self._primary is not None and self._primary in (account.label, account.key)

    def began(self, key: str, requirements: Requirements, now: float) -> None:
        """Begin an attempt on this account, which may have been removed meanwhile."""
        if state := self._states.get(key):
            state.begin(requirements.model, now, requirements.endpoint)

    def ended(self, key: str, *, sent_at: float, sent: bool = True, limited: bool = False) -> None:
        """End the attempt that began at `sent_at`, whatever its result.

        `sent`: upstream may have received it; else it does not count. `limited`: its response ended in a rate limit.
        """
        if state := self._states.get(key):
            state.end(sent_at, sent=sent)
            state.tally.rate_limits += limited

    def succeeded(
        self, key: str, requirements: Requirements, *, sent_at: float, now: float
    ) -> None:
        """Count a success, which ends cooldowns of the endpoint and may make the account the session's home."""
        if state := self._states.get(key):
            self.changes += state.succeeded(requirements.model, sent_at, requirements.endpoint)
            cached = requirements.endpoint == endpoints.MESSAGES
            if cached and self._affinity and any(a.key == key for a in self.accounts):
                moves = self._leaves_paid_calls(self._affinity.home(requirements.session, now), key)
                self._affinity.served(requirements.session, key, now, moves=moves)

    def _leaves_paid_calls(self, home: str | None, key: str) -> bool:
        """Return whether a session moves home from an API key to the subscription `key` (see `_home`)."""
        types = {account.key: account.type for account in self.accounts}
        return types.get(home or "") == "api_key" and types.get(key) == "oauth"

    def update_quota(self, key: str, fields: Fields, now: float) -> Quota | None:
        """Return the quota that the headers of a response report, good or bad, and take it over."""
        reported = quota.parse(fields, now)
        if state := self._states.get(key):
            state.update_quota(reported)
        return reported

    def failed(
        self, key: str, requirements: Requirements, failure: Failure, *, sent_at: float, now: float
    ) -> CooldownResult:
        """Count the failure of the attempt sent at `sent_at`, and begin the cooldown that its rule asks for."""
        rule = classify(failure)
        wait = headers.retry_after(failure.headers, now)
        if (state := self._states.get(key)) is None:
            return CooldownResult(0.0, 0, wait)
        reason = _reason(rule.name, failure)
        models = scope_of(failure.status, failure.headers, failure.message, requirements.model)
        cooldown = state.cool_down(
            endpoints.scope(requirements.endpoint, models),
            rule.cooldown,
            base=wait,
            sent_at=sent_at,
            now=now,
            reason=reason,
        )
        _count(state, failure, reason, now)
        if cooldown is None:
            return CooldownResult(0.0, 0, wait)
        self.changes += 1
        return CooldownResult(max(0.0, cooldown.until - now), max(0, cooldown.level - 1), wait)

    def cooldowns(self) -> dict[str, PersistedState]:
        """Return all cooldowns by account key, as `restore` takes them."""
        return {
            a.key: PersistedState(fingerprint(a.secret), dict(self._states[a.key].cooldowns))
            for a in self.targets
            if self._states[a.key].cooldowns
        }

    def quotas(self) -> dict[str, Quota]:
        return {key: state.quota for key, state in self._states.items() if state.quota}

    def clock_moved(self, by: float) -> None:
        """Keep how long each cooldown still lasts, after the clock was set by `by` seconds."""
        for state in self._states.values():
            state.clock_moved(by)
        self.changes += 1

    def restore(
        self, cooldowns: Mapping[str, PersistedState], quotas: Mapping[str, Quota], now: float
    ) -> None:
        """Take over the persisted state. Cooldowns of another credential are ignored; `now` bounds the others."""
        for account in self.targets:
            state, persisted = self._states[account.key], cooldowns.get(account.key)
            state.update_quota(quotas.get(account.key))
            if persisted and persisted.credential == fingerprint(account.secret):
                state.cooldowns.update(
                    {scope: in_bounds(each, now) for scope, each in persisted.scopes.items()}
                )


def _reason(rule: str, failure: Failure) -> str:
    """Return the reason of a cooldown; what kept a request from being sent is a fault of this machine, so in full."""
    if failure.stage is FailureStage.NETWORK and not failure.sent:
        return f"{rule}: {failure.message[:300]}"
    return f"{rule} ({failure.status or failure.error_type})"


def _count(state: AccountState, failure: Failure, reason: str, now: float) -> None:
    tally = state.tally
    tally.errors += 1
    tally.rate_limits += failure.status == 429 or failure.error_type == RATE_LIMIT
    tally.last_error_at = now
    tally.last_error = reason
