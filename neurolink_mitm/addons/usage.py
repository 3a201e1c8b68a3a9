from __future__ import annotations

from mitmproxy import http

from neurolink_mitm.core.exchange import Exchange, Kind, Outcome
from neurolink_mitm.core.outcome import conclude
from neurolink_mitm.mitm.hooks import exchange_of
from neurolink_mitm.ports import Runtime


class Usage:
    """Sums up what became of a request, and keeps the totals of /status."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def response(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if exchange is not None:
            status = flow.response.status_code if flow.response else None
            conclude(exchange, status=status, now=self.runtime.clock.now())
            self._count(exchange)

    error = response

    def _count(self, exchange: Exchange) -> None:
        if exchange.kind is Kind.LOCAL:
            return
        totals = self.runtime.totals
        totals.requests += 1
        if exchange.outcome is Outcome.COMPLETE:
            totals.success += 1
        elif exchange.outcome is not Outcome.CANCELLED:
            totals.errors += 1
        totals.rate_limits += sum(1 for a in exchange.attempts if a.status == 429)
