from __future__ import annotations

from collections.abc import Awaitable

from mitmproxy import http

from neurolink_mitm.core.accounts import Account
from neurolink_mitm.core.errors import Failure, Where
from neurolink_mitm.core.exchange import Exchange, Try
from neurolink_mitm.core.oauth import needs_refresh
from neurolink_mitm.core.renewal import take_over
from neurolink_mitm.mitm.hooks import exchange_of
from neurolink_mitm.ports import Refresher, Runtime


class Refresh:
    """Sees to it that an attempt goes out with a token that is good: ahead of its end, and after a 401."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def attempt(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Waits only where a refresh is due, so that other attempts need not be awaited."""
        exchange, refresher = exchange_of(flow), self.runtime.refresher
        if flow.response or exchange is None or refresher is None:
            return None
        account, step = exchange.account, exchange.step
        if account is None or not account.refreshable or not isinstance(step, Try):
            return None
        if step.refresh or needs_refresh(account.expires_at, self.runtime.clock.now()):
            return self._refresh(refresher, exchange, account, force=step.refresh)
        return None

    async def _refresh(
        self, refresher: Refresher, exchange: Exchange, account: Account, *, force: bool
    ) -> None:
        exchange.refreshes += force
        done = await refresher.fresh(account, force=force)
        take_over(
            self.runtime.pool, account, secret=done.account_secret, expires_at=done.expires_at,
            trouble=done.trouble, message=done.message,
        )  # fmt: skip
        exchange.attempts[-1].account = self.runtime.pool.newest(account)
        if done.account_secret == account.secret and (force or self._has_ended(account)):
            exchange.failure = Failure(
                Where.LOGIN, None, "refresh_failed", done.message, sent=False
            )

    def _has_ended(self, account: Account) -> bool:
        return account.expires_at is not None and account.expires_at <= self.runtime.clock.now()
