from __future__ import annotations

from collections.abc import Awaitable

from mitmproxy import http

from neurolink_mitm.core.exchange import Attempt, Exchange
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.failover.plan import TRANSLATOR_DOWN, translator_ended
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.providers.translator import request_fields
from neurolink_mitm.dataplane.hooks import exchange_of
from neurolink_mitm.ports import Endpoint, Runtime

PATIENCE = 60.0
"""Seconds that a request waits for a translator that is starting: as long as a start may take (`START_LIMIT`)."""


class Translate:
    """Points an attempt on another provider's model at the translator, without any header of the caller's."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def attempt(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Return an awaitable only where the translator is not running yet."""
        exchange = exchange_of(flow)
        attempt = exchange.attempt if exchange else None
        if flow.response or exchange is None or attempt is None:
            return None
        account = attempt.account
        if account is None or account.is_anthropic:
            return None
        translator = self.runtime.translator
        endpoint = translator.endpoint if translator else None
        if endpoint and not _has_lost_it(exchange, account):
            self._aim(flow, exchange, attempt, account, endpoint)
            return None
        return self._wait(flow, exchange, attempt, account)

    async def _wait(
        self, flow: http.HTTPFlow, exchange: Exchange, attempt: Attempt, account: Account
    ) -> None:
        endpoint = None
        if translator := self.runtime.translator:
            if _has_lost_it(exchange, account):
                await translator.settle()
            endpoint = await translator.wait(_patience(exchange))
        if endpoint:
            self._aim(flow, exchange, attempt, account, endpoint)
        else:
            message = "the translator, which asks other providers, is not running"
            attempt.failure = Failure.of_network(TRANSLATOR_DOWN, message, sent=False)

    @staticmethod
    def _aim(
        flow: http.HTTPFlow,
        exchange: Exchange,
        attempt: Attempt,
        account: Account,
        endpoint: Endpoint,
    ) -> None:
        request = flow.request
        request.data.scheme, request.data.host = b"http", endpoint.host
        request.data.port = endpoint.port
        request.data.path = request.data.path.partition(b"?")[0]
        length = len(request.raw_content or b"")
        model = exchange.model_at(account) or ""
        request.headers = http.Headers(
            request_fields(endpoint.secret, endpoint.port, account.provider, model, length)
        )
        attempt.ready = True


def _patience(exchange: Exchange) -> float:
    """Return the seconds to wait: a request waits once, not for each fallback."""
    waited = any(a.failure and a.failure.error_type == TRANSLATOR_DOWN for a in exchange.attempts)
    return 0.0 if waited else PATIENCE


def _has_lost_it(exchange: Exchange, account: Account) -> bool:
    """Whether the translator ended during the attempt before, on the same account."""
    last = exchange.attempts[-1] if exchange.attempts else None
    failure = last.failure if last and last.account and last.account.key == account.key else None
    return failure is not None and translator_ended(failure)
