"""What goes on beside requests: changed logins are picked up, and idle accounts kept fresh."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from watchfiles import Change, awatch

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.core.accounts import Account
from neurolink_mitm.core.oauth import needs_refresh
from neurolink_mitm.core.renewal import take_over
from neurolink_mitm.ports import Refresher, Runtime

logger = logging.getLogger("neurolink.upkeep")

EVERY = 60.0
"""Seconds between two looks at tokens that nobody uses at the moment."""
DEBOUNCE = 100
"""Milliseconds of quiet after which a change is taken to be whole."""


class Upkeep:
    """Runs beside the proxy until it is cancelled. `reload` reads the accounts anew; it may take its time and raise."""

    def __init__(
        self, runtime: Runtime, home: Home, reload: Callable[[], Sequence[Account]]
    ) -> None:
        self._runtime = runtime
        self._home = home
        self._reload = reload
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin, on the running loop."""
        jobs = [self._watch()]
        if self._runtime.refresher is not None:
            jobs.append(self._keep_fresh(self._runtime.refresher))
        self._tasks = [asyncio.create_task(job) for job in jobs]

    def cancel(self) -> None:
        """End, some time soon."""
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """End, and wait for it."""
        self.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _watch(self) -> None:
        names = {self._home.tokens.name, self._home.legacy_credentials.name}

        def concerns(change: Change, path: str) -> bool:
            return path.rpartition("/")[2] in names

        watched = awatch(
            self._home.root,
            watch_filter=concerns,
            recursive=False,
            debounce=DEBOUNCE * 2,
            step=DEBOUNCE,
        )
        async for _ in watched:
            await self._pick_up()

    async def _pick_up(self) -> None:
        """What can't be read leaves the pool as it is."""
        try:
            accounts = await asyncio.to_thread(self._reload)
        except Exception as e:
            logger.error("changed logins are not picked up: %s", e)
            return
        before = {account.key for account in self._runtime.pool.accounts}
        self._runtime.pool.update(accounts)
        logger.info("logins have changed: %d accounts, %d before", len(accounts), len(before))

    async def _keep_fresh(self, refresher: Refresher) -> None:
        """At once for those whose token has ended, then every minute for whose token is about to."""
        while True:
            for account in self._runtime.pool.accounts:
                if account.refreshable and not account.disabled and self._is_due(account):
                    done = await refresher.fresh(account)
                    take_over(
                        self._runtime.pool, account, secret=done.account_secret,
                        expires_at=done.expires_at, trouble=done.trouble, message=done.message,
                    )  # fmt: skip
            await asyncio.sleep(EVERY)

    def _is_due(self, account: Account) -> bool:
        return needs_refresh(account.expires_at, self._runtime.clock.now())
