from __future__ import annotations

import logging

from mitmproxy import http

from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.core.logs import console
from neurolink_mitm.dataplane.hooks import exchange_of
from neurolink_mitm.ports import Runtime

logger = logging.getLogger("neurolink.proxy")


class Console:
    """Says a line per request, per attempt and per response."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    @property
    def heard(self) -> bool:
        """Whether the lines are wanted; else none is formatted."""
        return logger.isEnabledFor(logging.INFO)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if flow.response:  # it is refused by its head alone
            self.request(flow)

    def request(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if self.heard and exchange is not None and exchange.kind is not Kind.LOCAL:
            self._say(console.request_line(exchange))

    def attempt(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        attempt = exchange.attempt if exchange else None
        if self.heard and attempt and attempt.account and attempt.ready:
            self._say(console.attempt_line(attempt.account))
            if logger.isEnabledFor(logging.DEBUG):
                betas = flow.request.headers.get_all("anthropic-beta")
                self._say(console.betas_line(betas), logging.DEBUG)

    def attempt_failed(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if self.heard and exchange is not None and exchange.attempts:
            self._say(console.failure_line(exchange.attempts[-1]))

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if not self.heard or exchange is None or exchange.kind is Kind.LOCAL or not flow.response:
            return
        self._say(console.response_line(exchange, flow.response.status_code))

    def _say(self, line: str, level: int = logging.INFO) -> None:
        if self.runtime.say:
            self.runtime.say(line)
        else:
            logger.log(level, "%s", line)
