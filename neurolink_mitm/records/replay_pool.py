"""The pool of a replay: the accounts that may serve, and the strategy's choice among them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from neurolink_mitm.core.cost.budget import Budget
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.choosing import session_of
from neurolink_mitm.core.pool.limit_scope import WHOLE_ACCOUNT
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.ready import KINDS, Kind, Ready
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.request.endpoints import MESSAGES
from neurolink_mitm.records.recording import Recording


@dataclass(frozen=True, slots=True)
class Setting:
    """What is configured beside the strategy."""

    accounts: Sequence[Account] = ()
    """Those of now, in their order; recorded ones that are not among them come last."""
    affinity: bool = True
    primary: str | None = None
    pay_per_use: Literal["allow", "never"] = "allow"
    cap: float | None = None


def accounts_of(recording: Recording, accounts: Sequence[Account]) -> list[Account]:
    """Return the accounts that may serve: those of now that are in use, and those that were asked then."""
    by_label = {account.label: account for account in accounts}
    asked = recording.types
    current = [a for a in accounts if a.label in asked or (a.enabled and not a.disabled)]
    gone = [label for label in asked if label not in by_label]
    gone.sort(key=lambda label: asked[label] != "oauth")
    return [*map(_in_use, current), *(_recorded(label, asked[label]) for label in gone)]


def _in_use(account: Account) -> Account:
    """Return the account as it was while it served, without its secrets."""
    return replace(
        account,
        secret=Secret(""),
        enabled=True,
        disabled=None,
        paused=None,
        expires_at=None,
        max_concurrent=0,  # requests take no time here
    )


def _recorded(label: str, plan: str) -> Account:
    type_: Literal["oauth", "api_key"] = "oauth" if plan == "oauth" else "api_key"
    return Account(f"anthropic:{label}", label, type_, Secret(""), "")


class ReplayPool(Pool):
    """The pool, without what a replay does not need: reasons, waits, and state that is persisted."""

    def __init__(
        self, accounts: Sequence[Account], strategy: str, setting: Setting, budget: Budget
    ) -> None:
        self._ready_by_kind: dict[tuple[bool, str | None, str, bool], Ready] = {}
        super().__init__(
            accounts, strategy, affinity=setting.affinity, primary=setting.primary, budget=budget
        )
        self._paid = self._an_api_key is not None and not (
            budget.pay_per_use == "never" and self._has_subscription
        )

    def _touch(self, key: str) -> None:
        for ready in self._ready_by_kind.values():
            ready.touch(key)

    def pick(self, of: Requirements, now: float, tried: Collection[str]) -> Account | None:
        """Return the account that `choose` returns."""
        ready = self._ready_for(of, now)
        left = ready.eligible(tried)
        if not left:
            return None
        return self._home(of, ready, left, now, tried) or self._strategy.select(left)

    def _ready_for(self, of: Requirements, now: float) -> Ready:
        paid = self._paid if self.budget.cap is None else self._kind(of, now).paid
        key = (of.claude_code, of.model, of.endpoint, paid)
        ready = self._ready_by_kind.get(key)
        if ready is None:
            if len(self._ready_by_kind) >= KINDS:
                self._ready_by_kind.clear()
            verdict = partial(self._verdict, Kind(*key))
            ready = self._ready_by_kind[key] = Ready(self.accounts, verdict)
        ready.bring_up(now)
        return ready

    def settled(self, of: Requirements, now: float) -> Account | None:
        """Return the session's account if `choose` returns it without looking at any other one."""
        if self._affinity is None or of.endpoint != MESSAGES:
            return None
        for key in self._affinity.accounts(session_of(of), now):
            account = self._targets[key]
            cooldowns = self._states[key].cooldowns
            if not cooldowns:
                return account if self._serves(account, of) else None
            whole = cooldowns.get(WHOLE_ACCOUNT)
            if whole is None or not whole.cooling(now):
                return None
        return None

    def _serves(self, account: Account, of: Requirements) -> bool:
        """Return whether an account without a cooldown serves such requests, and is not too dear."""
        if account.rate_limit or account.excluded_models:
            return False
        if account.type == "oauth":
            return of.claude_code
        return not self._has_subscription and self.budget.cap is None

    def served(self, of: Requirements, account: Account, now: float, *, settled: bool) -> None:
        """Book a request that `account` serves at once."""
        if settled and self._affinity:
            self._affinity.served(session_of(of), account.key, now)
        elif account.rate_limit or self._states[account.key].cooldowns:
            self.began(account.key, of, now)
            self.ended(account.key, sent_at=now)
            self.succeeded(account.key, of, sent_at=now, now=now)
        elif of.endpoint == MESSAGES:
            self._move(of, account.key, now)
