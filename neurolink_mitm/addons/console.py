from __future__ import annotations

import logging
from urllib.parse import unquote

from mitmproxy import http

from neurolink_mitm.core.exchange import Exchange, Hold, Kind
from neurolink_mitm.core.logs import console
from neurolink_mitm.core.providers.translator import NOTE_HEADER
from neurolink_mitm.dataplane.hooks import exchange_of
from neurolink_mitm.ports import Runtime

MOST_NOTES = 100
"""Notes that are said, each once."""
logger = logging.getLogger("neurolink.proxy")


class Console:
    """Says a line per request, per attempt and per response."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._noted: set[str] = set()

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

    def hold(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if self.heard and exchange is not None and isinstance(exchange.step, Hold):
            now = self.runtime.clock.now()
            if exchange.step.recovery:
                self._say(console.held_line(exchange, exchange.step, now))

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if exchange is None or exchange.kind is Kind.LOCAL or not flow.response:
            return
        if note := flow.response.headers.get(NOTE_HEADER):
            self._note(exchange, unquote(note))
        if self.heard:
            self._say(console.response_line(exchange, flow.response.status_code))

    def _note(self, exchange: Exchange, note: str) -> None:
        """Say once what another provider was not told; each request's row in the log has it."""
        if exchange.account is None or exchange.account.is_anthropic:
            return
        exchange.why = f"{exchange.why}; {note}" if exchange.why else note
        line = console.note_line(exchange, note)
        if line not in self._noted and len(self._noted) < MOST_NOTES:
            self._noted.add(line)
            self._say(line, logging.WARNING)

    def _say(self, line: str, level: int = logging.INFO) -> None:
        if self.runtime.say:
            self.runtime.say(line)
        else:
            logger.log(level, "%s", line)
