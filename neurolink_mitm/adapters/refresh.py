"""Refreshes access tokens: does the steps of `core/auth/refresh.py` with store, token endpoint and locks.

Within a process, all requests of an account share one refresh; between processes there is a lock, under which the
store is read again. Files and locks are used in threads, the state machines on the event loop only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from filelock import Timeout

from neurolink_mitm.adapters.token_store import Credentials, TokenStoreError
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.auth.oauth import RefreshError, Tokens, Trouble, pause_after
from neurolink_mitm.core.auth.refresh import AccountRefresh, Refreshed, RefreshStep
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import OAuth
from neurolink_mitm.ports import Clock

if TYPE_CHECKING:
    from neurolink_mitm.adapters.network import Network
    from neurolink_mitm.dataplane.upstreams.shared import Upstreams

logger = logging.getLogger("neurolink.refresh")

LOCK_LIMIT = 60.0
"""Seconds to wait for another process: longer than two URLs of the token endpoint take to time out."""
LOCK_POLL = 0.05
"""Seconds between two tries for the lock."""


AWAY_FOR = 1.0
"""Seconds for which replicas that can't be asked are not asked again: each request may want a refresh."""


class ReplicasAwayError(Exception):
    """Other replicas may be refreshing the login, or have done so, and can't be asked; the text is one line."""


class Lock(Protocol):
    """The lock of an account's refresh; any thread may release it."""

    def acquire(self, timeout: float | None = None) -> object:
        """Raise `Timeout` while another has it, `OSError` if it can't be made, `ReplicasAwayError`."""

    def release(self) -> None:
        """Release it, if it is held."""


class Store(Protocol):
    """The part of the token store that refreshes use. All methods block and raise `TokenStoreError`."""

    def refresh_lock(self, label: str) -> Lock: ...

    def read(self) -> Credentials: ...

    def replace_tokens(self, label: str, tokens: Tokens, spent: Secret | None = None) -> bool: ...

    def disable(self, label: str, reason: str, at: float, spent: Secret | None = None) -> bool:
        """Also raises `ReplicasAwayError`: whether the store of all replicas has a newer login can't be known."""

    def note_failure(self, label: str, spent: Secret | None = None) -> int: ...


class Client(Protocol):
    """Client of the token endpoint, as `OAuthClient` is."""

    async def refresh(self, refresh_token: Secret, proxy_url: str | None = None) -> Tokens:
        """Send `refresh_token`, through `proxy_url` if the account has one. Raises `RefreshError`."""

    @property
    def date_skew(self) -> float | None: ...


def oauth_client(
    settings: OAuth, network: Network | None = None, upstreams: Upstreams | None = None
) -> Client:
    """Return a client, which uses connections of `upstreams` if there are any.

    The first call imports Authlib and httpx: half a second and 25 MB.
    """
    from neurolink_mitm.adapters.oauth_client import OAuthClient

    if upstreams is None:
        return OAuthClient(settings, network=network)
    from neurolink_mitm.adapters.upstreams_transport import transport_over

    return OAuthClient(settings, network=network, transport=transport_over(upstreams))


@dataclass(slots=True)
class _Entry:
    """The refreshes of one account."""

    machine: AccountRefresh
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    task: asyncio.Task[Refreshed] | None = None
    away_until: float = 0.0
    """By the loop's clock."""


class Refresher:
    """Refreshes the accounts of one store, on one event loop. `ports.Refresher` says what its methods do."""

    def __init__(
        self,
        store: Store,
        connect: Callable[[], Client],
        clock: Clock,
        *,
        pause: Callable[[int], float] = pause_after,
        lock_limit: float = LOCK_LIMIT,
    ) -> None:
        """`connect` is called in a thread when a client is first needed, so API keys alone don't cost its import.

        `pause` returns the seconds without a request after that many failures in a row: under load, a short outage
        would use up all the failures that an account has.
        """
        self._store = store
        self._connect = connect
        self._clock = clock
        self._pause = pause
        self._lock_limit = lock_limit
        self._client: Client | None = None
        self._skew: float | None = None
        self._entries: dict[str, _Entry] = {}

    def reconnect(self, connect: Callable[[], Client]) -> None:
        """Use another client from the next refresh on."""
        self._connect, self._client = connect, None

    def share(self, store: Store) -> None:
        """Use another store of the same home from the next refresh on: one that replicas share, or none of these."""
        self._store = store

    async def fresh(self, account: Account, *, force: bool = False) -> Refreshed:
        if not account.refreshable:
            message = f"{account.label} has no refresh token: log in again when it ends"
            return Refreshed(account, None, Trouble.REFUSED, message)
        entry = self._entries.get(account.label)
        if entry is None:
            entry = _Entry(AccountRefresh(account, self._pause))
            self._entries[account.label] = entry
        if entry.task is None and asyncio.get_running_loop().time() < entry.away_until:
            return replace(entry.machine.result, account=account, login=None)
        while True:
            joined = entry.task is not None
            task = entry.task or self._start(entry, account, force)
            # shielded: a client that leaves must not cancel the refresh of others
            result = await asyncio.shield(task)
            # the joined refresh may not have had `force` for this secret
            unaware = result.trouble is None and result.account_secret == account.secret
            if not (joined and force and unaware):
                return result

    async def flush(self) -> bool:
        for entry in tuple(self._entries.values()):
            # a running refresh has written them first
            if entry.machine.unwritten and not entry.busy.locked():
                async with entry.busy:
                    await self._write(entry.machine)
        return not any(entry.machine.unwritten for entry in self._entries.values())

    @property
    def unwritten(self) -> Mapping[str, str]:
        grants = {label: entry.machine.unwritten for label, entry in self._entries.items()}
        return {label: grant.why for label, grant in grants.items() if grant and grant.why}

    def newest(self, account: Account) -> Account:
        entry = self._entries.get(account.label)
        return entry.machine.newest(account) if entry else account

    @property
    def clock_skew(self) -> float | None:
        return self._skew

    async def close(self, limit: float = 30.0) -> None:
        if running := [entry.task for entry in self._entries.values() if entry.task]:
            await asyncio.wait(running, timeout=limit)
        await self.flush()

    def _start(self, entry: _Entry, account: Account, force: bool) -> asyncio.Task[Refreshed]:
        def ended(_: object) -> None:
            entry.task = None

        refresh = self._refresh(entry, account, force)
        entry.task = asyncio.create_task(refresh, name=f"refresh {account.label}")
        entry.task.add_done_callback(ended)
        return entry.task

    async def _refresh(self, entry: _Entry, account: Account, force: bool) -> Refreshed:
        machine, lock = entry.machine, self._store.refresh_lock(account.label)
        async with entry.busy:
            machine.start(account, force=force)
            try:
                while machine.step is not RefreshStep.IDLE:
                    await self._take(machine, lock)
            finally:
                await asyncio.to_thread(lock.release)
            return machine.result

    async def _take(self, machine: AccountRefresh, lock: Lock) -> None:
        match machine.step:
            case RefreshStep.LOCK:
                try:
                    machine.locked(in_time=await self._lock(lock, machine.account.label))
                except ReplicasAwayError as e:
                    self._away(machine, e)
            case RefreshStep.READ | RefreshStep.REREAD:
                await self._read(machine)
            case RefreshStep.ASK:
                await self._ask(machine)
            case RefreshStep.FLUSH | RefreshStep.WRITE:
                await self._write(machine)
            case RefreshStep.COUNT:
                machine.counted(await asyncio.to_thread(self._count, machine))
            case RefreshStep.DISABLE:
                await self._disable(machine)

    def _away(self, machine: AccountRefresh, error: ReplicasAwayError) -> None:
        label = machine.account.label
        logger.debug("account=%s: %s", label, error)
        self._entries[label].away_until = asyncio.get_running_loop().time() + AWAY_FOR
        machine.away(str(error), self._clock.now())

    async def _lock(self, lock: Lock, label: str) -> bool:
        """Return whether to go on. Asked for again and again, so that no thread is taken up by waiting."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._lock_limit
        while not await asyncio.to_thread(_acquire, lock, label):
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(LOCK_POLL)
        return True

    async def _read(self, machine: AccountRefresh) -> None:
        try:
            login = await asyncio.to_thread(self._login, machine.account)
        except TokenStoreError as e:
            if not machine.unwritten:
                logger.error("account=%s can't be refreshed: %s", machine.account.label, e)
            machine.unreadable(str(e), self._clock.now())
        else:
            machine.read(login, self._clock.now())

    async def _ask(self, machine: AccountRefresh) -> None:
        client = self._client
        assert machine.asked
        if client is None:
            client = self._client = await asyncio.to_thread(self._connect)
        try:
            tokens = await client.refresh(machine.asked, machine.account.proxy_url)
        except RefreshError as e:
            logger.warning("account=%s was not refreshed: %s", machine.account.label, e.message)
            machine.refused(e, self._clock.now())
        else:
            machine.granted(tokens, self._clock.now())
        self._skew = client.date_skew

    async def _write(self, machine: AccountRefresh) -> None:
        """Write the grant; an error is logged once."""
        label, grant = machine.account.label, machine.unwritten
        assert grant is not None
        try:
            written = await asyncio.to_thread(
                lambda: self._store.replace_tokens(label, grant.tokens, grant.spent)
            )
        except TokenStoreError as e:
            if str(e) != grant.why:
                logger.error(
                    "account=%s: ITS NEW TOKENS ARE NOT ON DISK (%s); they work until this process"
                    " ends, then it needs a new login; writing is tried again",
                    label,
                    e,
                )
            machine.wrote(why=str(e))
            return
        if not written:
            logger.info("account=%s: renewed for nothing, another login came or it is gone", label)
            machine.superseded()
            return
        if grant.why:
            logger.warning("account=%s: its new tokens are on disk now", label)
        if machine.step is RefreshStep.WRITE:
            logger.info("account=%s refreshed", label)
        machine.wrote()

    async def _disable(self, machine: AccountRefresh) -> None:
        try:
            marked = await asyncio.to_thread(self._mark, machine, self._clock.now())
        except ReplicasAwayError as e:
            self._away(machine, e)
            return
        if not marked:
            machine.superseded()
            return
        logger.error("account=%s is disabled: %s", machine.account.label, machine.reason)
        machine.disabled()

    def _login(self, account: Account) -> StoredAccount | None:
        """Blocks."""
        credentials = self._store.read()
        legacy = credentials.legacy if account.source == "legacy" else None
        return next((each for each in credentials.stored if each.label == account.label), legacy)

    def _count(self, machine: AccountRefresh) -> int:
        """Count a failure; 0 if that failed. Blocks."""
        try:
            return self._store.note_failure(machine.account.label, machine.on_disk)
        except TokenStoreError as e:
            logger.error("account=%s: its failure was not counted: %s", machine.account.label, e)
            return 0

    def _mark(self, machine: AccountRefresh, now: float) -> bool:
        """Disable the login; False if the store holds another by now, or none. Blocks."""
        label = machine.account.label
        try:
            return self._store.disable(label, machine.reason, now, machine.on_disk)
        except TokenStoreError as e:
            logger.error("account=%s can't be marked as disabled: %s", label, e)
            return True


def _acquire(lock: Lock, label: str) -> bool:
    """Try to acquire `lock`; it counts as acquired where no process can make its file. Blocks on the disk."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    except OSError as e:
        logger.warning("account=%s is refreshed without a lock: %s", label, e.strerror)
    return True
