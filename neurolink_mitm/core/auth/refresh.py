"""The state machine of one account's token refresh, and how the pool takes over its result.

The caller does `AccountRefresh.step` and reports the result to one of the methods; `TABLE` gives the next step. A
refresh begins and ends in `IDLE`. Two rules hold: the lock is taken before the login is read, and new tokens are
written before they are used.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from neurolink_mitm.core.auth.credentials import GAVE_UP, NEEDS_LOGIN, StoredAccount
from neurolink_mitm.core.auth.oauth import (
    AHEAD,
    DEFAULT_RETRY_AFTER,
    MAX_FAILURES,
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


class RefreshStep(enum.Enum):
    """The step that the caller does next."""

    IDLE = "nothing: `result` is ready"
    LOCK = "take the account's lock between processes"
    FLUSH = "write the tokens of an earlier refresh, whose write failed"
    READ = "read the login from the store"
    ASK = "send the refresh token to the token endpoint"
    WRITE = "write the new tokens"
    COUNT = "count a failure in the store"
    DISABLE = "disable the login in the store"
    REREAD = "read the login that another process has written meanwhile"


StepResult = enum.Enum(
    "StepResult",
    "STARTED LOCKED LOCKED_UNWRITTEN LOCK_TIMED_OUT DUE CURRENT BACKING_OFF UNUSABLE GRANTED INVALID_GRANT FAILED"
    " NOT_COUNTED WRITTEN UNWRITTEN SUPERSEDED COUNTED LAST_FAILURE DISABLED AWAY",
)
"""The result of a step. `LOCKED_UNWRITTEN`: tokens of an earlier refresh are not on disk. `UNUSABLE`: logged out,
disabled, or the store can't be read. `NOT_COUNTED`: a rate limit, or no network, says nothing about the account.
`SUPERSEDED`: the store now holds another login, or none. `AWAY`: other replicas may be refreshing it, or have done so,
and can't be asked.
"""

S, R = RefreshStep, StepResult
TABLE: Mapping[RefreshStep, Mapping[StepResult, RefreshStep]] = {
    S.IDLE: {R.STARTED: S.LOCK, R.WRITTEN: S.IDLE, R.UNWRITTEN: S.IDLE, R.SUPERSEDED: S.IDLE},
    S.LOCK: {R.LOCKED: S.READ, R.LOCKED_UNWRITTEN: S.FLUSH, R.LOCK_TIMED_OUT: S.REREAD, R.AWAY: S.REREAD},
    S.FLUSH: {R.WRITTEN: S.READ, R.UNWRITTEN: S.READ, R.SUPERSEDED: S.READ},
    S.READ: {R.DUE: S.ASK, R.CURRENT: S.IDLE, R.BACKING_OFF: S.IDLE, R.UNUSABLE: S.IDLE},
    S.ASK: {R.GRANTED: S.WRITE, R.INVALID_GRANT: S.DISABLE, R.FAILED: S.COUNT, R.NOT_COUNTED: S.IDLE},
    S.WRITE: {R.WRITTEN: S.IDLE, R.UNWRITTEN: S.IDLE, R.SUPERSEDED: S.REREAD},
    S.COUNT: {R.COUNTED: S.IDLE, R.LAST_FAILURE: S.DISABLE},
    S.DISABLE: {R.DISABLED: S.IDLE, R.SUPERSEDED: S.REREAD, R.AWAY: S.IDLE},
    S.REREAD: {R.CURRENT: S.IDLE, R.UNUSABLE: S.IDLE},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The result of a refresh: the login to use from now on, and the trouble, if any."""

    account: Account
    """The account before the refresh."""
    login: StoredAccount | None = None
    """The login after it; None if the store has none."""
    trouble: Trouble | None = None
    message: str = ""
    replaced: Secret | None = None
    """The access token in the store before the refresh."""
    written: bool = True
    """Whether the store holds the newest tokens; else they are lost with this process."""

    @property
    def account_secret(self) -> Secret:
        """Return the newest access token, which may be the old one."""
        return self.login.access_token if self.login else self.account.secret

    @property
    def expires_at(self) -> float | None:
        return self.login.expires_at if self.login else self.account.expires_at


@dataclass(frozen=True, slots=True)
class Grant:
    """The newest tokens that were granted to this process for an account."""

    spent: Secret
    """The refresh token on disk before the first write, perhaps several refreshes ago."""
    outdated: Secret
    """The access token on disk beside it."""
    tokens: Tokens
    written: bool = False
    why: str = ""
    """Why the last write failed; empty before the first."""


@dataclass(frozen=True, slots=True)
class RefreshBackoff:
    """`refresh_token` is not sent from `since` to `until`; before `since` only if the clock was set back."""

    refresh_token: Secret
    failures: int
    """In a row, with this refresh token."""
    since: float
    until: float
    error: RefreshError

    def holds(self, refresh_token: Secret, now: float) -> bool:
        return self.refresh_token == refresh_token and self.since <= now < self.until


class AccountRefresh:
    """One account's refreshes in this process, one after another. Times are seconds since the epoch."""

    def __init__(self, account: Account, pause: Callable[[int], float] = pause_after) -> None:
        """`pause` returns the seconds without a request after that many failures in a row."""
        self.step = RefreshStep.IDLE
        self.grant: Grant | None = None
        self.backoff: RefreshBackoff | None = None
        self._pause = pause
        self._ahead = AHEAD
        self.asked: Secret | None = None
        """The refresh token to send in `ASK`."""
        self.reason = ""
        """The reason for `DISABLE`."""
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
        return None if self.grant is None or self.grant.written else self.grant

    @property
    def on_disk(self) -> Secret | None:
        """The refresh token in the store; `COUNT` and `DISABLE` change no other login."""
        return self.unwritten.spent if self.unwritten else self.asked

    def start(self, account: Account, *, force: bool) -> None:
        """Begin a refresh, whatever was the last step. With `force`, `account.secret` counts as refused."""
        self.step, self._force, self.asked = RefreshStep.IDLE, force, None
        self._result = Refreshed(account)
        self._go(StepResult.STARTED)

    def locked(self, *, in_time: bool) -> None:
        if not in_time:
            message = f"another process has been refreshing {self.account.label} for too long"
            self._fail(StepResult.LOCK_TIMED_OUT, Trouble.TRANSIENT, message)
        else:
            self._go(StepResult.LOCKED_UNWRITTEN if self.unwritten else StepResult.LOCKED)

    def away(self, message: str, now: float) -> None:
        """Report on `LOCK` or `DISABLE` that other replicas can't be asked: nothing is refreshed, nobody disabled."""
        login = self._result.login
        if self.step is RefreshStep.DISABLE and login:
            self._result = replace(self._result, login=replace(login, disabled=None))
            self.backoff = self._backoff(RefreshError(Trouble.TRANSIENT, message), now)
        self._fail(StepResult.AWAY, Trouble.TRANSIENT, message)

    def read(self, login: StoredAccount | None, now: float) -> None:
        """Report the result of `READ` or `REREAD`: the login in the store."""
        unwritten = self.unwritten
        if login and unwritten and login.refresh_token == unwritten.spent:
            login = with_tokens(login, unwritten.tokens)
        if self.step is RefreshStep.READ:
            self._judge(login, now)
        elif login and self._is_newer(login):
            self._result = Refreshed(self.account, login)
            self._go(StepResult.CURRENT)
        elif self._result.trouble is None:
            self._gone()
        else:
            self._go(StepResult.UNUSABLE)

    def unreadable(self, message: str, now: float) -> None:
        """Report that `READ` or `REREAD` failed. Unwritten tokens go on to serve."""
        if self.unwritten:
            self.read(self.unwritten.tokens.as_login(self.account.label), now)
        else:
            self._result = Refreshed(self.account)
            self._fail(StepResult.UNUSABLE, Trouble.TRANSIENT, message)

    def granted(self, tokens: Tokens, now: float) -> None:
        """Report success of `ASK`."""
        login, spent = self._result.login, self.asked
        assert login
        assert spent
        tokens = replace(tokens, refresh_token=tokens.refresh_token or spent)
        before = self.unwritten or Grant(spent, login.access_token, tokens)
        self.grant = replace(before, tokens=tokens)
        self.backoff = None
        self._ahead = ahead_of(tokens.expires_at and tokens.expires_at - now)
        self._result = replace(self._result, login=with_tokens(login, tokens))
        self._go(StepResult.GRANTED)

    def refused(self, error: RefreshError, now: float) -> None:
        """Report failure of `ASK`."""
        if error.trouble is Trouble.INVALID_GRANT:
            self._disable(f"{NEEDS_LOGIN}: {error.message}")
            self._fail(StepResult.INVALID_GRANT, error.trouble, error.message)
            return
        self.backoff = self._backoff(error, now)
        counts = error.answered and error.trouble is not Trouble.RATE_LIMITED
        outcome = StepResult.FAILED if counts else StepResult.NOT_COUNTED
        self._fail(outcome, error.trouble, error.message)

    def wrote(self, why: str = "") -> None:
        """Report the result of `WRITE` or `FLUSH`: `why` it failed, if it did; then it is tried again later."""
        if self.grant:
            self.grant = replace(self.grant, written=not why, why=why)
        self._go(StepResult.UNWRITTEN if why else StepResult.WRITTEN)

    def superseded(self) -> None:
        """Report on `WRITE`, `FLUSH` or `DISABLE` that the store holds another login, or none."""
        self.grant = None
        self._go(StepResult.SUPERSEDED)

    def counted(self, failures: int) -> None:
        """Report the result of `COUNT`: failures in a row, of all processes since the last login."""
        if failures >= MAX_FAILURES:
            self.backoff = None  # `enable` then tries it at once
            last = self._result.message
            self._disable(f"{failures} {GAVE_UP}, the last: {last}")
        self._go(StepResult.COUNTED if failures < MAX_FAILURES else StepResult.LAST_FAILURE)

    def disabled(self) -> None:
        """Report success of `DISABLE`. Unwritten tokens are dropped with their login."""
        if self.unwritten:
            self.grant = None
        self._go(StepResult.DISABLED)

    def newest(self, account: Account) -> Account:
        """Return `account`, as read from disk, with tokens that were granted since."""
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
            self._fail(StepResult.UNUSABLE, Trouble.REFUSED, login.disabled)
        elif not self._is_due(login, now):
            self._go(StepResult.CURRENT)
        elif self.backoff and self.backoff.holds(login.refresh_token, now):
            error = self.backoff.error
            self._fail(StepResult.BACKING_OFF, error.trouble, error.message)
        else:
            self._go(StepResult.DUE)

    def _is_due(self, login: StoredAccount, now: float) -> bool:
        refused = self._force and login.access_token == self.account.secret
        return refused or needs_refresh(login.expires_at, now, self._ahead)

    def _is_newer(self, login: StoredAccount) -> bool:
        if self.asked:
            return login.refresh_token != self.asked
        return login.access_token != self.account.secret

    def _backoff(self, error: RefreshError, now: float) -> RefreshBackoff:
        before, asked = self.backoff, self.asked
        assert asked
        failures = 1 + (before.failures if before and before.refresh_token == asked else 0)
        if error.trouble is Trouble.RATE_LIMITED:
            wait = DEFAULT_RETRY_AFTER if error.retry_after is None else error.retry_after
        else:
            wait = max(self._pause(failures), error.retry_after or 0.0)
        return RefreshBackoff(asked, failures, now, now + wait, error)

    def _disable(self, reason: str) -> None:
        self.reason = reason
        if login := self._result.login:
            self._result = replace(self._result, login=replace(login, disabled=reason))

    def _gone(self) -> None:
        self._result = Refreshed(self.account)
        self._fail(
            StepResult.UNUSABLE, Trouble.REFUSED, f"{self.account.label} is not stored any more"
        )

    def _fail(self, outcome: StepResult, trouble: Trouble, message: str) -> None:
        self._result = replace(self._result, trouble=trouble, message=message)
        self._go(outcome)

    def _go(self, outcome: StepResult) -> None:
        self.step = TABLE[self.step][outcome]


def take_over(pool: Pool, refreshed: Refreshed) -> None:
    """Give the pool the new token, or disable the account.

    Ignored if the pool has another token by now, that of a new login, say.
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
    """Drop the mark of another process, which has tried the used refresh token."""
    return None if disabled and disabled.startswith(NEEDS_LOGIN) else disabled
