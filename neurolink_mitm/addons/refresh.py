from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

from mitmproxy import http

from neurolink_mitm.core.auth.oauth import AHEAD, needs_refresh
from neurolink_mitm.core.auth.refresh import Refreshed, take_over
from neurolink_mitm.core.exchange import Attempt
from neurolink_mitm.core.failover.errors import Failure, FailureStage
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.request.target import Target, UpstreamKey
from neurolink_mitm.dataplane.hooks import exchange_of
from neurolink_mitm.ports import Refresher, Runtime

PATIENCE = 2.0
"""Seconds that a request waits for the refresh of a token that is still valid."""
SOON = 120.0
"""Seconds before a refresh is due from which on requests keep a connection to the token endpoint ready."""


class Refresh:
    """Refreshes the account's token before an attempt, if it is about to expire or was refused."""

    def __init__(self, runtime: Runtime, patience: float = PATIENCE) -> None:
        self.runtime = runtime
        self._patience = patience
        self._ahead: dict[str, asyncio.Task[Refreshed]] = {}
        self._slow: set[str] = set()
        """Keys of accounts whose refresh takes longer than `patience`: requests don't wait for it."""

    def attempt(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Return an awaitable only where a refresh is due."""
        exchange, refresher = exchange_of(flow), self.runtime.refresher
        attempt = exchange.attempt if exchange else None
        if flow.response or exchange is None or attempt is None or refresher is None:
            return None
        account, step = attempt.account, attempt.step
        if account is None or not account.refreshable or step is None:
            return None
        now = self.runtime.clock.now()
        if step.refresh or needs_refresh(account.expires_at, now, AHEAD + SOON):
            self._expect_refresh(account)
        if step.refresh:
            exchange.refreshes += 1
        if step.refresh or account.has_ended(now):
            return self._refresh(refresher, attempt, account, force=step.refresh)
        due = needs_refresh(account.expires_at, now)
        if due and account.key not in self._slow:
            return self._renew_ahead(refresher, attempt, account)
        return None

    def _expect_refresh(self, account: Account) -> None:
        """Have a connection to the token endpoint ready."""
        runtime = self.runtime
        url = runtime.config.oauth.token_urls[0]
        if runtime.upstreams:
            with suppress(ValueError):  # an HTTP proxy that can't be used, as the refresh will tell
                via = runtime.proxies.via(url, account.proxy_url)
                runtime.upstreams.prepare(UpstreamKey.of(Target.parse(url), via))

    async def _refresh(
        self, refresher: Refresher, attempt: Attempt, account: Account, *, force: bool
    ) -> None:
        # shielded: the pool gets the new token even if this client leaves
        done = await asyncio.shield(self._renew(refresher, account, force=force))
        attempt.account = self.runtime.pool.newest(account)
        if done.account_secret == account.secret:
            attempt.failure = Failure(
                FailureStage.LOGIN, None, "refresh_failed", done.message, sent=False
            )

    async def _renew_ahead(self, refresher: Refresher, attempt: Attempt, account: Account) -> None:
        """Refresh a token that is still valid, and use it as it is if that takes longer than `patience`."""
        key = account.key
        task = self._ahead.get(key)
        if task is None:
            task = self._ahead[key] = asyncio.ensure_future(self._renew(refresher, account))
            task.add_done_callback(lambda _: self._forget(key))
        # other replicas are asked first, and no request waits for them
        patience = 0.0 if self.runtime.cluster else self._patience
        done, _ = await asyncio.wait((task,), timeout=patience)
        if not done:
            self._slow.add(key)
        attempt.account = self.runtime.pool.newest(account)

    def _forget(self, key: str) -> None:
        del self._ahead[key]
        self._slow.discard(key)

    async def _renew(
        self, refresher: Refresher, account: Account, *, force: bool = False
    ) -> Refreshed:
        done = await refresher.fresh(account, force=force)
        take_over(self.runtime.pool, done)
        return done
