"""The state machine of one account's token refresh, and what its result means for the pool.

`AccountRefresh.step` is what the caller does next; each method below reports an outcome, and `TABLE` gives the step
that follows. A refresh ends where it began, in `IDLE`. In between lie the two rules that no order may break: the lock
comes before the read, and the write before the new access token is handed out.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from neurolink_mitm.core.auth.credentials import NEEDS_LOGIN, StoredAccount
from neurolink_mitm.core.auth.oauth import (
    AHEAD,
    MAX_FAILURES,
    UNTOLD_PAUSE,
    RefreshError,
    Tokens,
    Trouble,
    ahead_of,
    needs_refresh,
    pause_after,
)
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.redact.secret import Secret


class Step(enum.Enum):
    """What the caller does next."""

    IDLE = "nothing: `result` is ready"
    LOCK = "take the account's lock between processes"
    FLUSH = "write the tokens of an earlier refresh, which could not be written"
    READ = "read the login from the store"
    ASK = "send the refresh token to the token endpoint"
    WRITE = "write the new tokens"
    COUNT = "count a failure in the store"
    DISABLE = "disable the login in the store"
    REREAD = "read the login that another process has written meanwhile"


Outcome = enum.Enum(
    "Outcome",
    "STARTED LOCKED LOCKED_UNWRITTEN LOCK_TIMED_OUT DUE CURRENT BACKING_OFF UNUSABLE GRANTED INVALID_GRANT FAILED"
    " NOT_COUNTED WRITTEN UNWRITTEN SUPERSEDED COUNTED LAST_FAILURE DISABLED",
)
"""What came of a step. `LOCKED_UNWRITTEN`: tokens of an earlier refresh are not on disk. `UNUSABLE`: logged out,
disabled, or the store can't be read. `NOT_COUNTED`: a rate limit, or no network, says nothing about the account.
`SUPERSEDED`: the store holds another login by now, or none.
"""

S, O = Step, Outcome  # noqa: E741 - for the table
TABLE: Mapping[Step, Mapping[Outcome, Step]] = {
    S.IDLE: {O.STARTED: S.LOCK, O.WRITTEN: S.IDLE, O.UNWRITTEN: S.IDLE, O.SUPERSEDED: S.IDLE},
    S.LOCK: {O.LOCKED: S.READ, O.LOCKED_UNWRITTEN: S.FLUSH, O.LOCK_TIMED_OUT: S.REREAD},
    S.FLUSH: {O.WRITTEN: S.READ, O.UNWRITTEN: S.READ, O.SUPERSEDED: S.READ},
    S.READ: {O.DUE: S.ASK, O.CURRENT: S.IDLE, O.BACKING_OFF: S.IDLE, O.UNUSABLE: S.IDLE},
    S.ASK: {O.GRANTED: S.WRITE, O.INVALID_GRANT: S.DISABLE, O.FAILED: S.COUNT, O.NOT_COUNTED: S.IDLE},
    S.WRITE: {O.WRITTEN: S.IDLE, O.UNWRITTEN: S.IDLE, O.SUPERSEDED: S.REREAD},
    S.COUNT: {O.COUNTED: S.IDLE, O.LAST_FAILURE: S.DISABLE},
    S.DISABLE: {O.DISABLED: S.IDLE, O.SUPERSEDED: S.REREAD},
    S.REREAD: {O.CURRENT: S.IDLE, O.UNUSABLE: S.IDLE},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What to send from now on, and what went wrong if anything did."""

    account: Account
    """As it was before."""
    login: StoredAccount | None = None
    """As it is now; None where the store gave none."""
    trouble: Trouble | None = None
    message: str = ""
    replaced: Secret | None = None
    """The access token that the store held when it was asked for another."""
    written: bool = True
    """Whether the store holds the newest tokens; if not, they are lost with this process."""

    @property
    def account_secret(self) -> Secret:
        """The newest access token; with `trouble` perhaps the old one."""
        return self.login.access_token if self.login else self.account.secret

    @property
    def expires_at(self) -> float | None:
        return self.login.expires_at if self.login else self.account.expires_at


@dataclass(frozen=True, slots=True)
class Grant:
    """The newest tokens that this process was granted for an account."""

    spent: Secret
    """The refresh token on disk before the first write, of which `tokens` came in the end."""
    outdated: Secret
    """The access token on disk beside it."""
    tokens: Tokens
    written: bool = False
    why: str = ""
    """Why the last write failed; empty before the first."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """No request with `refresh_token` from `since` to `until`; before `since` only if the clock was set back."""

    refresh_token: Secret
    failures: int
    """In a row; a new login begins anew."""
    since: float
    until: float
    error: RefreshError

    def holds(self, refresh_token: Secret, now: float) -> bool:
        return self.refresh_token == refresh_token and self.since <= now < self.until


class AccountRefresh:
    """One account's refreshes in this process, one after another. Times in seconds since the epoch."""

    def __init__(self, account: Account, pause: Callable[[int], float] = pause_after) -> None:
        """`pause` gives the seconds without a request after so many failures in a row."""
        self.step = Step.IDLE
        self.grant: Grant | None = None
        self.backoff: Backoff | None = None
        self._pause = pause
        self._ahead = AHEAD
        self.asked: Secret | None = None
        """The refresh token for `ASK`."""
        self.reason = ""
        """Why to `DISABLE`."""
        self._force = False
        self._result = Refreshed(account)

    @property
    def account(self) -> Account:
        return self._result.account

    @property
    def result(self) -> Refreshed:
        return replace(self._result, written=self.unwritten is None)

    @property
    def unwritten(self) -> Grant | None:
        """Tokens that are not on disk."""
        return None if self.grant is None or self.grant.written else self.grant

    @property
    def on_disk(self) -> Secret | None:
        """The refresh token that the store holds unless another login came: `COUNT` and `DISABLE` change no other."""
        return self.unwritten.spent if self.unwritten else self.asked

    def start(self, account: Account, *, force: bool) -> None:
        """Begin, whatever became of a refresh that was broken off. With `force`, `account.secret` counts as bad."""
        self.step, self._force, self.asked = Step.IDLE, force, None
        self._result = Refreshed(account)
        self._go(Outcome.STARTED)

    def locked(self, *, in_time: bool) -> None:
        """Report on `LOCK`."""
        if not in_time:
            message = f"another process has been refreshing {self.account.label} for too long"
            self._fail(Outcome.LOCK_TIMED_OUT, Trouble.TRANSIENT, message)
        else:
            self._go(Outcome.LOCKED_UNWRITTEN if self.unwritten else Outcome.LOCKED)

    def read(self, login: StoredAccount | None, now: float) -> None:
        """Report on `READ` and `REREAD`: `login` is what the store holds."""
        unwritten = self.unwritten
        if login and unwritten and login.refresh_token == unwritten.spent:
            login = with_tokens(login, unwritten.tokens)
        if self.step is Step.READ:
            self._judge(login, now)
        elif login and self._is_newer(login):
            self._result = Refreshed(self.account, login)
            self._go(Outcome.CURRENT)
        elif self._result.trouble is None:
            self._gone()
        else:
            self._go(Outcome.UNUSABLE)

    def unreadable(self, message: str, now: float) -> None:
        """Report on `READ` and `REREAD`: the store can't be read. Tokens that are not there yet go on to serve."""
        if self.unwritten:
            self.read(self.unwritten.tokens.as_login(self.account.label), now)
        else:
            self._result = Refreshed(self.account)
            self._fail(Outcome.UNUSABLE, Trouble.TRANSIENT, message)

    def granted(self, tokens: Tokens, now: float) -> None:
        """Report on `ASK`."""
        login, spent = self._result.login, self.asked
        assert login
        assert spent
        tokens = replace(tokens, refresh_token=tokens.refresh_token or spent)
        before = self.unwritten or Grant(spent, login.access_token, tokens)
        self.grant = replace(before, tokens=tokens)
        self.backoff = None
        self._ahead = ahead_of(tokens.expires_at and tokens.expires_at - now)
        self._result = replace(self._result, login=with_tokens(login, tokens))
        self._go(Outcome.GRANTED)

    def refused(self, error: RefreshError, now: float) -> None:
        """Report on `ASK`."""
        if error.trouble is Trouble.INVALID_GRANT:
            self._disable(f"{NEEDS_LOGIN}: {error.message}")
            self._fail(Outcome.INVALID_GRANT, error.trouble, error.message)
            return
        self.backoff = self._backoff(error, now)
        counts = error.answered and error.trouble is not Trouble.RATE_LIMITED
        outcome = Outcome.FAILED if counts else Outcome.NOT_COUNTED
        self._fail(outcome, error.trouble, error.message)

    def wrote(self, why: str = "") -> None:
        """Report on `WRITE` and `FLUSH`; if that failed, `why`: the tokens are kept for the next try."""
        if self.grant:
            self.grant = replace(self.grant, written=not why, why=why)
        self._go(Outcome.UNWRITTEN if why else Outcome.WRITTEN)

    def superseded(self) -> None:
        """Report on `WRITE`, `FLUSH` and `DISABLE`: the store holds another login, or none."""
        self.grant = None
        self._go(Outcome.SUPERSEDED)

    def counted(self, failures: int) -> None:
        """Report on `COUNT`: so many in a row, in all processes since the last login."""
        if failures >= MAX_FAILURES:
            self.backoff = None  # once it is enabled, it is tried at once
            last = self._result.message
            self._disable(f"{failures} refreshes failed in a row, the last: {last}")
        self._go(Outcome.COUNTED if failures < MAX_FAILURES else Outcome.LAST_FAILURE)

    def disabled(self) -> None:
        """Report on `DISABLE`. Tokens that are not on disk end with their login."""
        if self.unwritten:
            self.grant = None
        self._go(Outcome.DISABLED)

    def newest(self, account: Account) -> Account:
        """Return `account`, as it was read from the disk, with tokens that were granted after that."""
        if self.grant is None or account.secret != self.grant.outdated:
            return account
        tokens, disabled = self.grant.tokens, _without_needs_login(account.disabled)
        return replace(
            account, secret=tokens.access_token, expires_at=tokens.expires_at, disabled=disabled
        )

    def _judge(self, login: StoredAccount | None, now: float) -> None:
        if login is None or login.refresh_token is None:
            self._gone()
            return
        self._result = Refreshed(self.account, login, replaced=login.access_token)
        self.asked = login.refresh_token
        if login.disabled:
            self._fail(Outcome.UNUSABLE, Trouble.REFUSED, login.disabled)
        elif not self._is_due(login, now):
            self._go(Outcome.CURRENT)
        elif self.backoff and self.backoff.holds(login.refresh_token, now):
            error = self.backoff.error
            self._fail(Outcome.BACKING_OFF, error.trouble, error.message)
        else:
            self._go(Outcome.DUE)

    def _is_due(self, login: StoredAccount, now: float) -> bool:
        refused = self._force and login.access_token == self.account.secret
        return refused or needs_refresh(login.expires_at, now, self._ahead)

    def _is_newer(self, login: StoredAccount) -> bool:
        if self.asked:
            return login.refresh_token != self.asked
        return login.access_token != self.account.secret

    def _backoff(self, error: RefreshError, now: float) -> Backoff:
        before, asked = self.backoff, self.asked
        assert asked
        failures = 1 + (before.failures if before and before.refresh_token == asked else 0)
        if error.trouble is Trouble.RATE_LIMITED:
            wait = UNTOLD_PAUSE if error.retry_after is None else error.retry_after
        else:
            wait = max(self._pause(failures), error.retry_after or 0.0)
        return Backoff(asked, failures, now, now + wait, error)

    def _disable(self, reason: str) -> None:
        self.reason = reason
        if login := self._result.login:
            self._result = replace(self._result, login=replace(login, disabled=reason))

    def _gone(self) -> None:
        self._result = Refreshed(self.account)
        self._fail(
            Outcome.UNUSABLE, Trouble.REFUSED, f"{self.account.label} is not stored any more"
        )

    def _fail(self, outcome: Outcome, trouble: Trouble, message: str) -> None:
        self._result = replace(self._result, trouble=trouble, message=message)
        self._go(outcome)

    def _go(self, outcome: Outcome) -> None:
        self.step = TABLE[self.step][outcome]


def take_over(pool: Pool, refreshed: Refreshed) -> None:
    """Use a new token from now on; a login that was disabled serves nothing.

    Neither is of interest once the pool has another token: that of a login that came meanwhile, say.
    """
    account, login = refreshed.account, refreshed.login
    used = pool.newest(account).secret
    if login is None or used not in (account.secret, refreshed.replaced, login.access_token):
        return
    if login.access_token != used:
        pool.renew(
            account.key, login.access_token, login.expires_at, account_uuid=login.account_uuid,
            organization_uuid=login.organization_uuid, email=login.email,
        )  # fmt: skip
    if login.disabled:
        pool.disable(account.key, login.disabled)


def with_tokens(login: StoredAccount, tokens: Tokens) -> StoredAccount:
    """Return `login` as the store holds it once `tokens` are written."""
    return replace(
        login,
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token or login.refresh_token,
        expires_at=tokens.expires_at,
        account_uuid=tokens.account_uuid or login.account_uuid,
        email=tokens.email or login.email,
        organization_uuid=tokens.organization_uuid or login.organization_uuid,
        organization_name=tokens.organization_name or login.organization_name,
        disabled=_without_needs_login(login.disabled),
    )


def _without_needs_login(disabled: str | None) -> str | None:
    """Drop the mark of another process: it has tried the refresh token that is spent."""
    return None if disabled and disabled.startswith(NEEDS_LOGIN) else disabled
