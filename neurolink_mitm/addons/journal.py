from __future__ import annotations

from mitmproxy import http

from neurolink_mitm.core.exchange import Exchange
from neurolink_mitm.core.logs.rows import attempt_row, request_row, worth_a_row
from neurolink_mitm.core.request import headers
from neurolink_mitm.core.status.metrics import attempt_points, request_points
from neurolink_mitm.dataplane.hooks import detach_exchange, exchange_of
from neurolink_mitm.ports import Runtime


class Journal:
    """Writes the rows of attempts and finished requests to the log and to `/metrics`."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def attempt_failed(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if exchange is not None and exchange.attempts:
            self._attempt(exchange, unseen=True)

    def response(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if exchange is None:
            return
        self.runtime.in_flight.remove(exchange)
        # A flow is saved and shown by mitmproxy: plain values only, and no credential.
        flow.request.headers.fields = headers.mask_fields(flow.request.headers.fields)
        detach_exchange(flow, exchange)
        if exchange.attempts and exchange.attempts[-1].failure is None:
            self._attempt(exchange, unseen=False)
        if worth_a_row(exchange):
            cluster = self.runtime.cluster
            row = request_row(exchange, cluster.name if cluster else None)
            self.runtime.journal.request(row)
            self.runtime.recent.add(row)
            self.runtime.metrics.record(request_points(row, exchange.body_size))

    error = response

    def _attempt(self, exchange: Exchange, *, unseen: bool) -> None:
        row = attempt_row(exchange, exchange.attempts[-1])
        self.runtime.journal.attempt(row)
        self.runtime.metrics.record(attempt_points(row, unseen=unseen))
