from __future__ import annotations

from mitmproxy import http

from neurolink_mitm.core.cost import costs
from neurolink_mitm.core.exchange import Attempt, Exchange, Kind, Outcome
from neurolink_mitm.core.failover.errors import RATE_LIMIT
from neurolink_mitm.core.logs.outcome import conclude
from neurolink_mitm.core.response.prompt_cache import PromptCaches
from neurolink_mitm.dataplane.hooks import exchange_of
from neurolink_mitm.ports import Runtime


def rate_limits(exchange: Exchange) -> int:
    """Count the rate limits of an exchange: a status 429, or an error inside a 200."""
    limited = [a for a in exchange.attempts if a.status == 429 or _names_a_limit(a)]
    return len(limited) + (exchange.reader is not None and exchange.reader.error == RATE_LIMIT)


def _names_a_limit(attempt: Attempt) -> bool:
    return attempt.failure is not None and attempt.failure.error_type == RATE_LIMIT


class Usage:
    """Concludes the exchange of a finished request, and adds it to the totals and the spending."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._caches = PromptCaches()

    def response(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if exchange is not None:
            status = flow.response.status_code if flow.response else None
            now = self.runtime.clock.now()
            conclude(exchange, status=status, now=now)
            exchange.moved_cache_tokens = self._moved(exchange)
            exchange.cost_usd = costs.cost_of(exchange, self.runtime.prices)
            self._count(exchange)
            self._spend(exchange, now)

    error = response

    def _moved(self, exchange: Exchange) -> int | None:
        account, session = exchange.account, exchange.session_id
        if exchange.kind is not Kind.MESSAGES or not (account and session and account.is_anthropic):
            return None
        conversation = session, exchange.agent_id, exchange.requirements.model
        sent_at = exchange.attempts[-1].sent_at
        return self._caches.served(conversation, account.key, exchange.usage, sent_at)

    def _spend(self, exchange: Exchange, now: float) -> None:
        spending, client = self.runtime.spending, exchange.client
        if spending is None or exchange.kind is Kind.LOCAL:
            return
        spent = costs.spent_on(exchange, self.runtime.prices, exchange.body_size)
        if client:
            used = costs.used_by(exchange, self.runtime.prices, exchange.body_size)
            spending.add(spent, now, client, used)
        elif spent:
            spending.add(spent, now)

    def _count(self, exchange: Exchange) -> None:
        if exchange.kind is Kind.LOCAL:
            return
        totals = self.runtime.totals
        totals.requests += 1
        totals.attempts += len(exchange.attempts)
        if exchange.outcome is Outcome.COMPLETE:
            totals.success += 1
        elif exchange.outcome is not Outcome.CANCELLED:
            totals.errors += 1
        totals.rate_limits += rate_limits(exchange)
