"""Keeps access tokens fresh: one refresh at a time per account, in this process and between processes.

Under the account's lock the store is read again, since another process may have done it. Rotated
tokens are on disk before they are handed out; where that fails they are handed out all the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from filelock import FileLock, Timeout

from neurolink_mitm.adapters.logins import Logins
from neurolink_mitm.adapters.oauth_client import RefreshError
from neurolink_mitm.adapters.token_store import TokenStore, TokenStoreError
from neurolink_mitm.core.accounts import Account
from neurolink_mitm.core.oauth import (
    AHEAD,
    UNTOLD_PAUSE,
    Tokens,
    Trouble,
    ahead_of,
    needs_refresh,
    pause_after,
)
from neurolink_mitm.core.secret import Secret
from neurolink_mitm.core.stored import StoredAccount
from neurolink_mitm.ports import Clock

logger = logging.getLogger("neurolink.refresh")

LOCK_LIMIT = 60.0
"""Seconds to wait for another process: longer than two addresses take that don't answer."""
LOCK_POLL = 0.05


class Client(Protocol):
    """Asks the token endpoint; `OAuthClient` does."""

    async def refresh(self, refresh_token: Secret, proxy_url: str | None = None) -> Tokens:
        """By way of the account's own `proxy_url`, if it has one. Raises `RefreshError`."""

    @property
    def date_skew(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What to send from now on, and what went wrong if anything did."""

    tokens: Tokens | None
    """None if there are none beyond what the account had."""
    account_secret: Secret
    """The newest access token that is known; with trouble perhaps the old one."""
    expires_at: float | None
    trouble: Trouble | None
    message: str
    written: bool
    """Whether the store holds `tokens`; if not, they are lost with this process."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """The last one of an account. It is about one refresh token: a new login starts afresh."""

    refresh_token: Secret
    in_a_row: int
    since: float
    until: float
    """No request between these times; before them only if the clock was set back."""
    trouble: Trouble
    message: str


class Refresher:
    """Refreshes the accounts of one store, on one event loop; files and locks are for threads."""

    def __init__(
        self,
        store: TokenStore,
        client: Client,
        clock: Clock,
        *,
        pause: Callable[[int], float] = pause_after,
        lock_limit: float = LOCK_LIMIT,
        logins: Logins | None = None,
    ) -> None:
        """`logins` are those of another refresher whose work this one goes on with.

        `pause` tells the seconds without a request after so many failures in a row: under load, a
        short outage would use up all the failures that an account has.
        """
        self._store = store
        self._client = client
        self._clock = clock
        self._pause = pause
        self._lock_limit = lock_limit
        self._logins = logins or Logins(store, clock)
        self._running: dict[str, asyncio.Task[Refreshed]] = {}
        self._failures: dict[str, _Failure] = {}
        self._ahead: dict[str, float] = {}

    async def fresh(self, account: Account, *, force: bool = False) -> Refreshed:
        """Tokens that last, by a refresh if there is no other way. Does not raise.

        With `force`, `account.secret` counts as bad, however long it was to last.
        """
        if not account.refreshable:
            message = f"{account.label} has no refresh token: log in again when it ends"
            return _unchanged(account, Trouble.REFUSED, message)
        while True:
            joined = account.label in self._running
            task = self._running.get(account.label) or self._start(account, force)
            # shielded: a client that leaves must not break off what others wait for
            result = await asyncio.shield(task)
            # the one that was joined may not have known that this secret is bad
            unaware = result.trouble is None and result.account_secret == account.secret
            if not (joined and force and unaware):
                return result

    async def flush(self) -> bool:
        """Try again to write tokens that could not be written. Whether none are left."""
        return await asyncio.to_thread(self._logins.flush)

    @property
    def unwritten(self) -> Mapping[str, str]:
        """Labels of accounts whose newest tokens are not on disk, and why."""
        return self._logins.unwritten

    def newest(self, account: Account) -> Account:
        """As it was read from the disk, but with the newest token."""
        return self._logins.newest(account)

    @property
    def clock_skew(self) -> float | None:
        """Seconds that our clock is ahead of the token endpoint's; None: not seen yet."""
        return self._client.date_skew

    async def close(self, limit: float = 30.0) -> None:
        """Let running refreshes end, whose tokens would be lost otherwise, and write what is left."""
        if self._running:
            await asyncio.wait(tuple(self._running.values()), timeout=limit)
        await self.flush()

    def _start(self, account: Account, force: bool) -> asyncio.Task[Refreshed]:
        label = account.label
        task = asyncio.create_task(self._refresh(account, force), name=f"refresh {label}")
        self._running[label] = task
        task.add_done_callback(lambda _: self._running.pop(label))
        return task

    async def _refresh(self, account: Account, force: bool) -> Refreshed:
        try:
            async with self._locked(account.label):
                return await self._refresh_locked(account, force)
        except Timeout:
            return await self._from_others(account)
        except TokenStoreError as e:
            logger.error("account=%s can't be refreshed: %s", account.label, e)
            return _unchanged(account, Trouble.TRANSIENT, str(e))

    async def _refresh_locked(self, account: Account, force: bool) -> Refreshed:
        login = await asyncio.to_thread(self._logins.current, account)
        if login is None or login.refresh_token is None:
            return _unchanged(account, Trouble.REFUSED, f"{account.label} is not stored any more")
        if login.disabled:
            return _unchanged(account, Trouble.REFUSED, login.disabled)
        if not self._is_due(account, login, force):
            return self._as_stored(login)
        failure = self._failures.get(account.label)
        if (
            failure
            and failure.refresh_token == login.refresh_token
            and failure.since <= self._clock.now() < failure.until
        ):
            return _no_better(account, login, failure.trouble, failure.message)
        return await self._ask(account, login, login.refresh_token)

    def _is_due(self, account: Account, login: StoredAccount, force: bool) -> bool:
        if force and login.access_token == account.secret:
            return True
        ahead = self._ahead.get(account.label, AHEAD)
        return needs_refresh(login.expires_at, self._clock.now(), ahead)

    async def _ask(self, account: Account, login: StoredAccount, spent: Secret) -> Refreshed:
        label = account.label
        try:
            tokens = await self._client.refresh(spent, account.proxy_url)
        except RefreshError as e:
            return await self._failed(account, login, spent, e)
        tokens = replace(tokens, refresh_token=tokens.refresh_token or spent)
        kept = await asyncio.to_thread(self._logins.put, login, spent, tokens)
        self._failures.pop(label, None)
        if kept is None:
            return _unchanged(account, Trouble.REFUSED, f"{label} is not stored any more")
        if kept.refresh_token != tokens.refresh_token:
            return self._as_stored(kept)  # a login that came meanwhile
        end = tokens.expires_at
        self._ahead[label] = ahead_of(None if end is None else end - self._clock.now())
        logger.info("account=%s refreshed", label)
        return Refreshed(tokens, tokens.access_token, end, None, "", self._logins.is_written(label))

    async def _failed(
        self, account: Account, login: StoredAccount, spent: Secret, e: RefreshError
    ) -> Refreshed:
        label = account.label
        if e.trouble is Trouble.INVALID_GRANT:
            newer = await asyncio.to_thread(self._logins.refused, account, spent, e.message)
            if newer:
                return self._as_stored(newer)
            return _no_better(account, login, e.trouble, e.message)
        logger.warning("account=%s was not refreshed: %s", label, e.message)
        self._failures[label] = self._failure(label, spent, e)
        # neither a limit nor being offline says anything about the account
        counts = e.trouble is not Trouble.RATE_LIMITED and e.answered
        if counts and await asyncio.to_thread(self._logins.failed, label, spent, e.message):
            self._failures.pop(label)  # once it is enabled, it is tried at once
        return _no_better(account, login, e.trouble, e.message)

    def _failure(self, label: str, refresh_token: Secret, e: RefreshError) -> _Failure:
        before = self._failures.get(label)
        same = before is not None and before.refresh_token == refresh_token
        in_a_row = before.in_a_row + 1 if before and same else 1
        if e.trouble is Trouble.RATE_LIMITED:
            wait = UNTOLD_PAUSE if e.retry_after is None else e.retry_after
        else:
            wait = max(self._pause(in_a_row), e.retry_after or 0.0)
        now = self._clock.now()
        return _Failure(refresh_token, in_a_row, now, now + wait, e.trouble, e.message)

    async def _from_others(self, account: Account) -> Refreshed:
        """Another process holds the lock longer than it should: has it written anything?"""
        busy = f"another process has been refreshing {account.label} for too long"
        try:
            login = await asyncio.to_thread(self._logins.current, account)
        except TokenStoreError as e:
            return _unchanged(account, Trouble.TRANSIENT, str(e))
        if login is None or login.access_token == account.secret:
            return _unchanged(account, Trouble.TRANSIENT, busy)
        return self._as_stored(login)

    def _as_stored(self, login: StoredAccount) -> Refreshed:
        """Tokens that another process, or a login, has written, or this one before."""
        written = self._logins.is_written(login.label)
        return Refreshed(_tokens(login), login.access_token, login.expires_at, None, "", written)

    @asynccontextmanager
    async def _locked(self, label: str) -> AsyncIterator[None]:
        """Raises `Timeout`. Asked for again and again, so that no thread is taken up by waiting."""
        lock = self._store.refresh_lock(label)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._lock_limit
        while not await asyncio.to_thread(_take, lock, label, last=loop.time() >= deadline):  # noqa: ASYNC110
            # what another process does comes with no event
            await asyncio.sleep(LOCK_POLL)
        try:
            yield
        finally:
            await asyncio.to_thread(lock.release)


def _take(lock: FileLock, label: str, *, last: bool) -> bool:
    """Whether to go on. Raises `Timeout` on the last try."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if last:
            raise
        return False
    except OSError as e:
        # a home where no file can be made is written by nobody else either
        logger.warning("account=%s is refreshed without a lock: %s", label, e.strerror)
    return True


def _unchanged(account: Account, trouble: Trouble, message: str) -> Refreshed:
    return Refreshed(None, account.secret, account.expires_at, trouble, message, True)


def _no_better(account: Account, login: StoredAccount, trouble: Trouble, message: str) -> Refreshed:
    newer = _tokens(login) if login.access_token != account.secret else None
    return Refreshed(newer, login.access_token, login.expires_at, trouble, message, True)


def _tokens(login: StoredAccount) -> Tokens:
    return Tokens(
        access_token=login.access_token,
        refresh_token=login.refresh_token,
        expires_at=login.expires_at,
        account_uuid=login.account_uuid,
        email=login.email,
        organization_uuid=login.organization_uuid,
        organization_name=login.organization_name,
    )
