"""A refresher that is made when it is first needed: what it imports takes half a second and 25 MB."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from neurolink_mitm.adapters.logins import Logins
from neurolink_mitm.adapters.system import SystemClock

if TYPE_CHECKING:
    from neurolink_mitm.adapters.network import Network
    from neurolink_mitm.adapters.refresher import Refreshed, Refresher
    from neurolink_mitm.adapters.token_store import TokenStore
    from neurolink_mitm.core.accounts import Account
    from neurolink_mitm.core.config_values import OAuth


class LazyRefresher:
    """Does what `Refresher` does. Whoever has API keys only never pays for it."""

    def __init__(self, store: TokenStore, settings: OAuth, network: Network | None = None) -> None:
        self._store = store
        self._settings = settings
        self._network = network
        self._logins = Logins(store, SystemClock())
        self._made: asyncio.Task[Refresher] | None = None
        self._retired: list[asyncio.Task[Refresher]] = []

    async def fresh(self, account: Account, *, force: bool = False) -> Refreshed:
        if self._made is None:
            self._made = asyncio.create_task(asyncio.to_thread(self._make))
        refresher = await asyncio.shield(self._made)
        return await refresher.fresh(account, force=force)

    def configure(self, settings: OAuth, network: Network | None = None) -> None:
        """Use these from the next refresh on; those that run end as they began."""
        if settings == self._settings and network == self._network:
            return
        self._settings, self._network = settings, network
        if self._made is not None:
            self._retired.append(self._made)
            self._made = None

    async def flush(self) -> bool:
        return await asyncio.to_thread(self._logins.flush)

    @property
    def unwritten(self) -> Mapping[str, str]:
        return self._logins.unwritten

    def newest(self, account: Account) -> Account:
        return self._logins.newest(account)

    @property
    def clock_skew(self) -> float | None:
        refresher = self._refresher()
        return refresher.clock_skew if refresher else None

    async def close(self) -> None:
        """Let running refreshes end, and write what is not written yet."""
        for made in (*self._retired, self._made):
            if made is not None:
                await (await made).close()

    def _refresher(self) -> Refresher | None:
        """The one that was made, if it was."""
        made = self._made
        return made.result() if made and made.done() and not made.exception() else None

    def _make(self) -> Refresher:
        from neurolink_mitm.adapters.oauth_client import OAuthClient
        from neurolink_mitm.adapters.refresher import Refresher

        client = OAuthClient(self._settings, network=self._network)
        return Refresher(self._store, client, SystemClock(), logins=self._logins)
