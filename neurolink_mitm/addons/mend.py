from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress

from mitmproxy import http

from neurolink_mitm.core import history
from neurolink_mitm.core.exchange import Exchange, Try
from neurolink_mitm.mitm.hooks import exchange_of
from neurolink_mitm.ports import Runtime

SESSIONS = 1000
"""Whose refused thinking is remembered; the one longest unused is forgotten first."""
NOTHING: frozenset[str] = frozenset()


class Mend:
    """Takes out of the history what Anthropic refuses. The client's own copy of it is left alone.

    What was refused once in a session is left out of its later requests from the start.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._refused: OrderedDict[str, frozenset[str]] = OrderedDict()

    def attempt(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        body = flow.request.raw_content
        if flow.response or exchange is None or exchange.account is None or not body:
            return
        if not exchange.account.is_anthropic:
            return
        with suppress(ValueError):  # no conversation: there is nothing to mend
            mended = self._mended(body, exchange)
            if mended is not body:
                flow.request.content = mended  # sets content-length, too

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """What was refused is known once it has been accepted without."""
        exchange = exchange_of(flow)
        if exchange and exchange.served and exchange.dropped and exchange.session_id:
            known = self._refused.pop(exchange.session_id, NOTHING)
            self._refused[exchange.session_id] = known | exchange.dropped
            while len(self._refused) > SESSIONS:
                self._refused.popitem(last=False)

    def _mended(self, body: bytes, exchange: Exchange) -> bytes:
        if isinstance(exchange.step, Try) and exchange.step.mended:
            exchange.dropped = history.signatures(body)
            return history.without_thinking(body) or body
        return history.acceptable(body, self._refused.get(exchange.session_id or "", NOTHING))
