"""The pool: which account the next request uses, and what each response changes about its account.

Models of other providers are part of the pool as fallbacks. The pool has no clock: `now` and `sent_at` are seconds
since the epoch.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from neurolink_mitm.core.cost.budget import Budget, is_paid
from neurolink_mitm.core.failover.errors import (
    RATE_LIMIT,
    CooldownKind,
    Failure,
    FailureStage,
    classify,
)
from neurolink_mitm.core.pool import quota
from neurolink_mitm.core.pool.account_state import AccountState, Ineligible, out_of_use
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.affinity import Affinity, Session, group_of
from neurolink_mitm.core.pool.choice import Choice, CooldownResult, Requirements
from neurolink_mitm.core.pool.cooldown import Cooldown, in_bounds
from neurolink_mitm.core.pool.limit_scope import Limit, limit_of, scope_of
from neurolink_mitm.core.pool.persisted import PersistedState, PersistedStates, fingerprint
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.readings import Reading, SavedReading, restored
from neurolink_mitm.core.pool.ready import Kind, Ready, ReadyByKind, Verdict
from neurolink_mitm.core.pool.recovery import reset_of_used_up
from neurolink_mitm.core.pool.selection import STRATEGIES, Candidate, SelectionStrategy
from neurolink_mitm.core.pool.waits import Waits
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.request import endpoints, headers
from neurolink_mitm.core.request.headers import Fields

LONGEST_REASON = 500
"""Characters of another provider's words in a reason."""
MAX_UNSAVED = 10_000
"""Readings of windows that wait to be saved."""
NAMED = 10
"""Ineligible accounts whose reasons a choice has: rows of the log would grow with the pool."""


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
        self.budget = budget or Budget()
        self.strategy = strategy
        self.changes = 0
        """Counts changes of cooldowns: the state is persisted when it differs."""
        self.on_change: Callable[[], object] = lambda: None
        """Called when another account may serve than before; it must not ask the pool at once."""
        self._strategy = STRATEGIES[strategy]()
        self._affinity = Affinity() if affinity else None
        self._primary = primary
        self._take(accounts, fallbacks)
        self._states = {account.key: AccountState() for account in self.targets}
        self._waits = Waits(self._states)
        self._quotas: dict[str, Quota] = {}
        self._unsaved: deque[SavedReading] = deque(maxlen=MAX_UNSAVED)
        self._persisted = PersistedStates()

    def _take(self, accounts: Iterable[Account], fallbacks: Iterable[Account]) -> None:
        self.accounts, self.fallbacks = tuple(accounts), tuple(fallbacks)
        self._targets = {target.key: target for target in (*self.fallbacks, *self.accounts)}
        self._has_subscription = any(account.type == "oauth" for account in self.accounts)
        ways = {(account.base_url, account.proxy_url) for account in self.accounts}
        self.has_several_ways = len(ways) > 1
        """Whether accounts have different base URLs or HTTP proxies."""
        self._an_api_key = next((each for each in self.accounts if is_paid(each)), None)
        self._ready = ReadyByKind(self.accounts, self._verdict)
        self.on_change()

    def _touch(self, key: str) -> None:
        """Note that the state of an account has changed."""
        self._persisted.touch((key,))
        self._ready.touch(key)
        self._waits.touch(key)
        self.on_change()

    def _touch_all(self) -> None:
        self._persisted.touch(self._states)
        self._ready.clear()
        self.on_change()

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
                if not _is_same(old, account):
                    self._forget_quota(account.key)
        for key in before:
            del self._states[key]
            self._quotas.pop(key, None)
            self._touch(key)
            if self._affinity:
                self._affinity.forget(key)
        self._take(accounts, fallbacks)

    def _forget_quota(self, key: str) -> None:
        self._quotas.pop(key, None)
        self._states[key].forget_quota()

    def configure(self, strategy: str, *, affinity: bool, primary: str | None) -> None:
        """Change how accounts are chosen; the state of accounts and sessions stays."""
        if strategy != self.strategy:
            self.strategy = strategy
            self._strategy = STRATEGIES[strategy]()
        if affinity != (self._affinity is not None):
            self._affinity = Affinity() if affinity else None
        self._primary = primary
        self._ready.clear()
        self.on_change()

    def newest(self, account: Account) -> Account:
        """Return `account` with its present token, which may have been refreshed since it was chosen."""
        return self._targets.get(account.key, account)

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
        accounts = (
            replace(account, **changes) if account.key == key else account
            for account in self.accounts
        )
        self._take(accounts, self.fallbacks)

    def reset(self, key: str) -> None:
        self.changes += 1
        if state := self._states.get(key):
            state.cooldowns.clear()
            state.probes.clear()
            state.ramps.by_scope.clear()
            self._touch(key)

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
        choice = self._choose(requirements, now, (), copy.copy(self._strategy), waits=True)
        return replace(choice, ineligible=self.ineligible(requirements, now), others=0)

    def next_after(
        self, account: Account, requirements: Requirements, now: float
    ) -> Account | None:
        """Return the account that would be asked if `account` failed now, and change nothing."""
        return self._choose(requirements, now, (account.key,), copy.copy(self._strategy)).account

    def foresee(
        self, requirements: Requirements, now: float, tried: Collection[str] = ()
    ) -> Choice:
        """Return what `choose` would for a request that waits, and change nothing."""
        return self._choose(requirements, now, tried, copy.copy(self._strategy), waits=True)

    def recoveries(
        self, requirements: Requirements, now: float, fallbacks: Collection[str] = ()
    ) -> dict[str, float]:
        """Return when each account that can't serve such a request now will recover by itself, by key.

        Nobody waits for a login, for what is not enabled, or for a cap. An account whose window is used up recovers
        with its reset, though it may be tried before that. `fallbacks` are the keys of those that count.
        """
        anybody = _of_fallbacks(requirements)
        targets = [(account, requirements) for account in self.accounts]
        targets += [(each, anybody) for each in self.fallbacks if each.key in fallbacks]
        recoveries = ((each.key, self._recovery(each, of, now)) for each, of in targets)
        return {key: at for key, at in recoveries if at is not None}

    def _recovery(self, account: Account, requirements: Requirements, now: float) -> float | None:
        model, endpoint, state = (
            requirements.model,
            requirements.endpoint,
            self._states[account.key],
        )
        reason = state.ineligible(account, model, requirements.claude_code, now, endpoint)
        at = reason.until if reason else state.resets_at(model, endpoint, now)
        if at is None or out_of_use(account, at) or self._over_budget(account, requirements, now):
            return None
        return at

    def admits(self, key: str, requirements: Requirements, now: float) -> bool:
        """Return whether an account that was chosen a moment ago may still serve: others may have begun meanwhile."""
        account = self._targets.get(key)
        if account is None or not account.is_anthropic:
            return True
        full = self._waits.full_until(key, requirements, now)
        return not (full or self._reason(account, requirements, now))

    def _choose(
        self,
        requirements: Requirements,
        now: float,
        tried: Collection[str],
        strategy: SelectionStrategy,
        *,
        waits: bool = False,
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
        return self._ineligible(self.accounts, requirements, now)

    def ineligible_fallbacks(
        self, keys: Collection[str], requirements: Requirements, now: float
    ) -> dict[str, Ineligible]:
        """Return those of the fallbacks `keys` that may not serve such a request now, in the order of `keys`."""
        anybody = _of_fallbacks(requirements)
        there = {account.key: account for account in self.fallbacks}
        fallbacks = (there[key] for key in keys if key in there)
        return self._ineligible(fallbacks, anybody, now)

    def _ineligible(
        self, targets: Iterable[Account], requirements: Requirements, now: float
    ) -> dict[str, Ineligible]:
        reasons = ((each.key, self._reason(each, requirements, now)) for each in targets)
        return {key: reason for key, reason in reasons if reason}

    def _reason(
        self, account: Account, requirements: Requirements, now: float
    ) -> Ineligible | None:
        """Return why `account` may not serve such a request now; None if it may."""
        return self._states[account.key].ineligible(
            account, requirements.model, requirements.claude_code, now, requirements.endpoint
        ) or self._over_budget(account, requirements, now)

    def _over_budget(
        self, account: Account, requirements: Requirements, now: float
    ) -> Ineligible | None:
        return self.budget.ineligible(
            account,
            now,
            beside_subscription=self._has_subscription or not account.is_anthropic,
            metering=requirements.metering,
            client_capped=requirements.client_capped,
        )

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

    def _is_dearer(self, home: Account, left: Sequence[Account]) -> bool:
        """Return whether `home` is paid per use, and a subscription is `left`."""
        if home.type != "api_key" or not self._has_subscription:
            return False
        return any(account.type == "oauth" for account in left)

    def is_primary(self, account: Account) -> bool:
        return self._primary is not None and self._primary in (account.label, account.key)

    def began(
        self, key: str, requirements: Requirements, now: float, *, moved: bool = False
    ) -> None:
        """Begin an attempt on this account, which may have been removed meanwhile.

        `moved`: the request comes from another account, or has waited for this one.
        """
        if state := self._states.get(key):
            state.begin(requirements.model, now, requirements.endpoint, moved=moved)
            self._touch(key)

    def ended(self, key: str, *, sent_at: float, sent: bool = True, limited: bool = False) -> None:
        """End the attempt that began at `sent_at`, whatever its result.

        `sent`: upstream may have received it; else it does not count. `limited`: its response ended in a rate limit.
        """
        if state := self._states.get(key):
            state.end(sent_at, sent=sent)
            self._touch(key)
            state.tally.rate_limits += limited

    def succeeded(
        self, key: str, requirements: Requirements, *, sent_at: float, now: float
    ) -> None:
        """Count a success, which ends cooldowns of the endpoint and may make the account the session's home."""
        if state := self._states.get(key):
            self.changes += state.succeeded(requirements.model, sent_at, now, requirements.endpoint)
            self._touch(key)
            cached = requirements.endpoint == endpoints.MESSAGES
            if cached and state.quota:
                state.quota = state.quota.after_success(requirements.model, sent_at)
                self._quotas[key] = state.quota
            if cached and self._affinity and self._targets[key].type != "provider":
                session = session_of(requirements)
                moves = self._leaves_paid_calls(self._affinity.home(session, now), key)
                self._affinity.served(session, key, now, moves=moves)

    def _leaves_paid_calls(self, home: str | None, key: str) -> bool:
        """Return whether a session moves home from an API key to the subscription `key` (see `_is_dearer`)."""
        before = self._targets.get(home or "")
        return before is not None and (before.type, self._targets[key].type) == ("api_key", "oauth")

    def update_quota(
        self,
        key: str,
        fields: Fields,
        now: float,
        *,
        asked: Requirements | None = None,
        status: int | None = None,
    ) -> Quota | None:
        """Return the quota that the headers of a response report, good or bad, and take it over.

        `asked` and `status` of the response tell which models its windows count for.
        """
        reported = quota.parse(fields, now)
        state = self._states.get(key)
        if state and reported:
            model = asked.model if asked and asked.endpoint == endpoints.MESSAGES else None
            refused = status == 429 and limit_of(fields, "") is Limit.MODEL
            served = status is not None and 200 <= status < 300
            latest = reported.after(state.quota, model, refused=refused, served=served)
            self._take_readings(key, state.update_quota(reported, latest), latest)
        return reported

    def take_quota(self, key: str, reported: Quota | None) -> None:
        """Take over the quota of an account, if one was reported."""
        state = self._states.get(key)
        if state and reported:
            latest = reported.after(state.quota)
            self._take_readings(key, state.update_quota(reported, latest), latest)

    def _take_readings(self, key: str, kept: Mapping[str, Reading], latest: Quota) -> None:
        self._quotas[key] = latest
        self._touch(key)
        self._unsaved.extend(
            SavedReading(each.at, key, name, each.used) for name, each in kept.items()
        )

    def unsaved_readings(self) -> Sequence[SavedReading]:
        """Return the readings of windows since the last call."""
        unsaved = tuple(self._unsaved)
        self._unsaved.clear()
        return unsaved

    def failed(
        self, key: str, requirements: Requirements, failure: Failure, *, sent_at: float, now: float
    ) -> CooldownResult:
        """Count the failure of the attempt sent at `sent_at`, and begin the cooldown that its rule asks for."""
        rule = classify(failure)
        wait = headers.retry_after(failure.headers, now)
        if (state := self._states.get(key)) is None:
            return CooldownResult(0.0, 0, wait)
        reason = _reason(rule.name, failure, self._targets[key])
        models = scope_of(failure.status, failure.headers, failure.message, requirements.model)
        resets_at = None
        if rule.cooldown is CooldownKind.BACKOFF:
            latest = state.quota if requirements.endpoint == endpoints.MESSAGES else None
            resets_at = reset_of_used_up(failure.headers, latest, models, wait, now)
        cooldown = state.cool_down(
            endpoints.scope(requirements.endpoint, models),
            rule.cooldown,
            base=wait,
            sent_at=sent_at,
            now=now,
            reason=reason,
            resets_at=resets_at,
        )
        self._touch(key)
        _count(state, failure, reason, now)
        if cooldown is None:
            return CooldownResult(0.0, 0, wait)
        self.changes += 1
        return CooldownResult(max(0.0, cooldown.until - now), max(0, cooldown.level - 1), wait)

    def cooldowns(self) -> dict[str, PersistedState]:
        """Return all cooldowns by account key, as `restore` takes them."""
        return self._persisted.update(self._persistable)

    def _persistable(self, key: str) -> tuple[Secret, Mapping[str, Cooldown]] | None:
        state = self._states.get(key)
        return (self._targets[key].secret, state.cooldowns) if state else None

    def quotas(self) -> dict[str, Quota]:
        return dict(self._quotas)

    def clock_moved(self, by: float) -> None:
        """Keep how long each cooldown still lasts, after the clock was set by `by` seconds."""
        for state in self._states.values():
            state.clock_moved(by)
        self._touch_all()
        self.changes += 1

    def restore(
        self,
        cooldowns: Mapping[str, PersistedState],
        quotas: Mapping[str, Quota],
        now: float,
        readings: Iterable[SavedReading] = (),
    ) -> None:
        """Take over the persisted state. Cooldowns of another credential are ignored; `now` bounds the others."""
        for key, windows in restored(readings, now).items():
            if state := self._states.get(key):
                state.readings |= windows
        for account in self.targets:
            state, persisted = self._states[account.key], cooldowns.get(account.key)
            self.take_quota(account.key, quotas.get(account.key))
            if persisted and persisted.credential == fingerprint(account.secret):
                state.cooldowns.update(
                    {scope: in_bounds(each, now) for scope, each in persisted.scopes.items()}
                )
        self._unsaved.clear()
        self._touch_all()


def session_of(requirements: Requirements) -> Session | None:
    """Return what a request's home is kept by; None without a session."""
    session = requirements.session
    return None if session is None else (session, group_of(requirements.model))


def _is_same(before: Account, after: Account) -> bool:
    """Return whether two credentials are of one account, so that its windows are still those."""
    if before.secret == after.secret:
        return True
    identity = (before.account_uuid, before.organization_uuid)
    return before.account_uuid is not None and identity == (
        after.account_uuid,
        after.organization_uuid,
    )


def _of_fallbacks(requirements: Requirements) -> Requirements:
    """Return what the request requires of fallbacks: they serve every client, and are a model themselves."""
    return replace(requirements, claude_code=False, model=None, session=None)


def _reason(rule: str, failure: Failure, target: Account) -> str:
    """Return the reason of a cooldown.

    What kept a request from being sent is a fault of this machine, so in full; so are another provider's own words.
    """
    if failure.stage is FailureStage.NETWORK and not failure.sent:
        return f"{rule}: {failure.message[:300]}"
    if not target.is_anthropic and failure.stage is FailureStage.STATUS and failure.message:
        return failure.message.removeprefix(f"{target.key} ")[:LONGEST_REASON]
    return f"{rule} ({failure.status or failure.error_type})"


def _count(state: AccountState, failure: Failure, reason: str, now: float) -> None:
    tally = state.tally
    tally.errors += 1
    tally.rate_limits += failure.status == 429 or failure.error_type == RATE_LIMIT
    tally.last_error_at = now
    tally.last_error = reason
