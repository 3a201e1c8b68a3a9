"""The pool: which accounts there are, how each is doing, and which one the next request takes.

It keeps state but no clock: every call says what time it is (seconds since the epoch).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from neurolink_mitm.core import cooldown, headers, rotation
from neurolink_mitm.core.accounts import Account
from neurolink_mitm.core.cooldown import Cooldown
from neurolink_mitm.core.errors import Failure, classify


@dataclass(slots=True)
class Tally:
    """What happened on one account since the proxy started."""

    attempts: int = 0
    success: int = 0
    errors: int = 0
    rate_limits: int = 0
    last_attempt_at: float | None = None
    last_error_at: float | None = None
    last_error: str | None = None


@dataclass(slots=True)
class Standing:
    """How an account is doing."""

    cooldown: Cooldown = field(default_factory=Cooldown)
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True, slots=True)
class Benching:
    """What a failure did to its account."""

    seconds: float
    level: int
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Skip:
    """Why an account is passed over, and until when, where that is only a matter of time."""

    reason: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The account to take, if any, and why others were passed over, by their keys."""

    account: Account | None
    rule: str
    skipped: Mapping[str, Skip]

    @property
    def recovery(self) -> float | None:
        """When the first account that is only cooling is back (seconds since the epoch)."""
        return min((s.until for s in self.skipped.values() if s.until is not None), default=None)

    @property
    def why(self) -> str:
        """One line for the log."""
        passed = "; ".join(f"skipped {key}: {skip.reason}" for key, skip in self.skipped.items())
        taken = f"took {self.account.key} by {self.rule}" if self.account else "no account left"
        return f"{taken}; {passed}" if passed else taken


class Pool:
    """The accounts in order, and the standing of each."""

    def __init__(self, accounts: Sequence[Account], strategy: str = "fill-first") -> None:
        self.accounts = tuple(accounts)
        self.strategy = strategy
        self._standing = {account.key: Standing() for account in accounts}

    def standing(self, key: str) -> Standing:
        return self._standing[key]

    def choose(
        self, *, claude_code: bool, model: str | None, now: float, tried: Collection[str] = ()
    ) -> Choice:
        """The next account for a request; accounts in `tried` had their turn."""
        skipped = {
            account.key: skip
            for account in self.accounts
            if (skip := self.skip(account, claude_code=claude_code, model=model, now=now))
        }
        left = [a for a in self.accounts if a.key not in skipped and a.key not in tried]
        account = rotation.STRATEGIES[self.strategy](left) if left else None
        return Choice(account, self.strategy, skipped)

    def skip(
        self, account: Account, *, claude_code: bool, model: str | None, now: float
    ) -> Skip | None:
        """Why this account does not serve such a request now; None if it does."""
        if account.disabled:
            return Skip(f"disabled: {account.disabled}")
        if not account.enabled:
            return Skip("not enabled")
        if account.type == "oauth" and not claude_code:
            return Skip(NOT_FOR_CLIENT)
        if model and rotation.excludes(account.excluded_models, model):
            return Skip(f"excludes {model}")
        state = self._standing[account.key].cooldown
        if state.cooling(now):
            seconds = max(1, math.ceil(state.until - now))
            return Skip(f"cooling for {seconds} s: {state.reason}", state.until)
        return None

    def attempted(self, key: str, now: float) -> None:
        """A request goes out on this account."""
        tally = self._standing[key].tally
        tally.attempts += 1
        tally.last_attempt_at = now

    def succeeded(self, key: str, *, sent_at: float) -> None:
        """The attempt sent at `sent_at` was answered well."""
        if (standing := self._standing.get(key)) is None:
            return  # the account has been removed meanwhile
        standing.tally.success += 1
        standing.cooldown = cooldown.after_success(standing.cooldown, sent_at=sent_at)

    def failed(self, key: str, failure: Failure, *, sent_at: float, now: float) -> Benching:
        """The attempt sent at `sent_at` failed; says for how long the account is benched."""
        rule = classify(failure)
        wait = headers.retry_after(failure.headers, now)
        if (standing := self._standing.get(key)) is None:
            return Benching(0.0, 0, wait)
        reason = f"{rule.name} ({failure.status or failure.error_type})"
        before = standing.cooldown
        standing.cooldown = after = cooldown.after_failure(
            before, rule.bench, base=wait, sent_at=sent_at, now=now, reason=reason
        )
        self._count(standing.tally, failure, reason, now)
        benched = max(0.0, after.until - now) if after is not before else 0.0
        return Benching(benched, max(0, after.level - 1), wait)

    @staticmethod
    def _count(tally: Tally, failure: Failure, reason: str, now: float) -> None:
        tally.errors += 1
        if failure.status == 429 or failure.error_type == "rate_limit_error":
            tally.rate_limits += 1
        tally.last_error_at = now
        tally.last_error = reason


NOT_FOR_CLIENT = "a subscription serves Claude Code only"
