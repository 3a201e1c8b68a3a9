from __future__ import annotations

from mitmproxy import http

from neurolink_mitm.core.logs.rows import worth_a_row
from neurolink_mitm.dataplane.hooks import exchange_of
from neurolink_mitm.ports import Runtime


class Telemetry:
    """Hands each finished request to the OTLP export."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def response(self, flow: http.HTTPFlow) -> None:
        telemetry, exchange = self.runtime.telemetry, exchange_of(flow)
        if telemetry is None or not telemetry.on or exchange is None or not worth_a_row(exchange):
            return
        telemetry.record(exchange, [self.runtime.random_source.hex(16) for _ in exchange.attempts])

    error = response
