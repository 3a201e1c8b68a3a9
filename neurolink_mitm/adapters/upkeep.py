"""What goes on beside requests.

Changed files are read, accounts kept fresh, old logs deleted, memory given back, and the loop is watched.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path

from neurolink_mitm.adapters.heap import keep_small
from neurolink_mitm.adapters.log_cleaner import keep_clean
from neurolink_mitm.adapters.log_trim import append, keep_short
from neurolink_mitm.adapters.reloader import Reloader, Source
from neurolink_mitm.adapters.watchdog import Watchdog
from neurolink_mitm.core.accounts import Account
from neurolink_mitm.core.oauth import needs_refresh
from neurolink_mitm.core.refresh import take_over
from neurolink_mitm.ports import Refresher, Runtime

logger = logging.getLogger("neurolink.upkeep")

STALLS = "stalls.log"
"""Among the logs: where the loop stands that does not come back."""
AGAIN = 5.0
"""Seconds until tokens that could not be written are written again: they are lost with this process."""


class Upkeep:
    """Runs beside the proxy until it is cancelled."""

    def __init__(
        self, runtime: Runtime, source: Source, logs: Path | None = None, *, every: float = 60.0
    ) -> None:
        """`every`: seconds between two looks at tokens that nobody uses at the moment."""
        self._runtime = runtime
        self._every = every
        self._logs = logs
        self._reloader = Reloader(runtime, source)
        self._watchdog = Watchdog(runtime.lag, logs / STALLS if logs else None)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin, on the running loop."""
        runtime = self._runtime
        jobs = [self._reloader.run(), keep_small()]
        if self._logs is not None:
            append(self._logs)
            jobs.append(keep_short(self._logs))
            jobs.append(keep_clean(self._logs, lambda: runtime.config.logging, runtime.clock.now))
        if self._runtime.refresher is not None:
            jobs.append(self._keep_fresh(self._runtime.refresher))
            jobs.append(self._write_again(self._runtime.refresher))
        self._watchdog.start()
        self._tasks = [asyncio.create_task(_told(job)) for job in jobs]

    def cancel(self) -> None:
        """End, some time soon."""
        self._watchdog.stop()
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """End, and wait for it."""
        self.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _keep_fresh(self, refresher: Refresher) -> None:
        """At once for those whose token has ended, then now and again for whose token is about to."""
        while True:
            for account in self._runtime.pool.accounts:
                if account.refreshable and not account.disabled and self._is_due(account):
                    take_over(self._runtime.pool, await refresher.fresh(account))
            await asyncio.sleep(self._every)

    async def _write_again(self, refresher: Refresher) -> None:
        while True:
            await asyncio.sleep(AGAIN)
            if refresher.unwritten:
                await refresher.flush()

    def _is_due(self, account: Account) -> bool:
        return needs_refresh(account.expires_at, self._runtime.clock.now())


async def _told(job: Coroutine[None, None, None]) -> None:
    """What breaks is told when it does, and does not come up again when the proxy stops."""
    try:
        await job
    except Exception:
        logger.exception("something beside requests has ended: start the proxy anew")
