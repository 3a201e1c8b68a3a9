"""The pool: which account the next request uses (`choosing.py`), and what each response changes about its account.

Models of other providers are part of the pool as fallbacks. The pool has no clock: `now` and `sent_at` are seconds
since the epoch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from neurolink_mitm.core.cost.budget import Budget
from neurolink_mitm.core.failover.errors import (
    RATE_LIMIT,
    CooldownKind,
    Failure,
    FailureStage,
    classify,
)
from neurolink_mitm.core.pool import quota
from neurolink_mitm.core.pool.account_state import AccountState
from neurolink_mitm.core.pool.accounts import Account, unknown_account
from neurolink_mitm.core.pool.among_replicas import AmongReplicas
from neurolink_mitm.core.pool.choice import CooldownResult, Requirements
from neurolink_mitm.core.pool.cooldown import Cooldown, in_bounds
from neurolink_mitm.core.pool.limit_scope import Limit, limit_of, scope_of
from neurolink_mitm.core.pool.persisted import PersistedState, PersistedStates, fingerprint
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.readings import Reading, SavedReading, restored
from neurolink_mitm.core.pool.recovery import reset_of_used_up
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.request import endpoints, headers
from neurolink_mitm.core.request.headers import Fields

LONGEST_REASON = 500
"""Characters of another provider's words in a reason."""
MAX_UNSAVED = 10_000
"""Readings of windows that wait to be saved."""


class Pool(AmongReplicas):
    """The pool as the proxy uses it: `Choosing`, and what responses, reloads and restarts change."""

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
        super().__init__(accounts, fallbacks, budget, strategy, affinity=affinity, primary=primary)
        self.changes = 0
        """Counts changes of cooldowns: the state is persisted when it differs."""
        self._quotas: dict[str, Quota] = {}
        self._unsaved: deque[SavedReading] = deque(maxlen=MAX_UNSAVED)
        self._persisted = PersistedStates()

    def _touch(self, key: str) -> None:
        self._persisted.touch((key,))
        super()._touch(key)

    def _touch_all(self) -> None:
        self._persisted.touch(self._states)
        super()._touch_all()

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
                self._states[account.key] = AccountState(limits=self.limits_of(account.key))
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
            state.reserved.clear()
            state.ramps.by_scope.clear()
            self._touch(key)

    def reset_named(self, wanted: str | None) -> list[Account]:
        """Reset the target of this label or key, or all; return them. Raises `LookupError` if there is none."""
        # the entry for `gemini-*` is there without anybody having named it
        named = [each for each in self.targets if each.is_anthropic or each.model]
        chosen = [each for each in named if wanted in (None, each.label, each.key)]
        if not chosen and wanted is not None:
            raise LookupError(unknown_account(wanted, [each.label for each in named]))
        for account in chosen:
            self.reset(account.key)
        return chosen

    def cool_again(self, key: str, persisted: PersistedState, now: float) -> None:
        """Put back cooldowns that were reset, where there are no newer ones, unless the credential is another now.

        They begin now: what began before the reset has ended for all replicas.
        """
        state, account = self._states.get(key), self._targets.get(key)
        if state and account and persisted.credential == fingerprint(account.secret):
            bounded = {scope: in_bounds(each, now) for scope, each in persisted.scopes.items()}
            before = {scope: replace(each, began=now) for scope, each in bounded.items()}
            state.cooldowns |= before | state.cooldowns
            self._touch(key)
            self.changes += 1

    def take_cooldowns(self, key: str, scopes: Mapping[str, Cooldown | None], now: float) -> None:
        """Take over what other replicas know of an account's cooldowns; None ends one, as a success does."""
        if state := self._states.get(key):
            for scope, cooldown in scopes.items():
                state.take_cooldown(scope, cooldown, now)
            self._touch(key)
            self.changes += 1

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
            if requirements.endpoint == endpoints.MESSAGES:
                if state.quota:
                    state.quota = state.quota.after_success(requirements.model, sent_at)
                    self._quotas[key] = state.quota
                self._move(requirements, key, now)

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

    def share_quota(self, key: str, latest: Quota, reported: Quota) -> None:
        """Take over what another replica has `reported` of an account; `latest` is that and what is known here.

        Its readings are not saved: a window's use is the account's, and each replica saves what it sees itself.
        """
        if state := self._states.get(key):
            state.update_quota(reported, latest)
            self._quotas[key] = latest
            self._touch(key)

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
            return CooldownResult(0.0, 0, wait, reason)
        self.changes += 1
        seconds, level = max(0.0, cooldown.until - now), max(0, cooldown.level - 1)
        return CooldownResult(seconds, level, wait, reason)

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


def _is_same(before: Account, after: Account) -> bool:
    """Return whether two credentials are of one account, so that its windows are still those."""
    if before.secret == after.secret:
        return True
    identity = (before.account_uuid, before.organization_uuid)
    return before.account_uuid is not None and identity == (
        after.account_uuid,
        after.organization_uuid,
    )


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
