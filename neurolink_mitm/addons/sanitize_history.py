from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable
from dataclasses import dataclass

from mitmproxy import http

from neurolink_mitm.core.exchange import Exchange
from neurolink_mitm.core.request import history
from neurolink_mitm.core.request.body import BodyIndex
from neurolink_mitm.core.request.json_spans import LARGE
from neurolink_mitm.dataplane.hooks import exchange_of, send_edited_body
from neurolink_mitm.dataplane.threads import run_in_thread
from neurolink_mitm.ports import Runtime

SESSIONS = 1000
"""Sessions whose refused thinking is remembered; the least recently used is forgotten first."""
EDITED_AT_ONCE = 1000
"""JSON objects up to which a body is edited on the event loop."""
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Sanitized:
    """The edited request, and the digests of the refused thinking that it leaves out."""

    index: BodyIndex
    dropped: frozenset[str]


class HistorySanitizer:
    """Removes from the history what Anthropic refuses; the client's copy stays as it is.

    What was refused once in a session is left out of its later requests from the start.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._refused: OrderedDict[str, frozenset[str]] = OrderedDict()

    def attempt(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Return an awaitable only where the work takes long."""
        exchange, body = exchange_of(flow), flow.request.raw_content
        if flow.response or exchange is None or exchange.index is None or not body:
            return None
        account = exchange.current_account
        if account is None or not account.is_anthropic:
            return None
        index = exchange.index.of(body)
        if index.is_judged and index.acceptable and not self._refuses(exchange):
            return None
        if len(body) > LARGE or body.count(b"{") > EDITED_AT_ONCE:
            return self._in_thread(flow, exchange, index)
        _take(flow, exchange, self._sanitized(index, exchange))
        return None

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Remember the removed thinking once upstream has accepted the request without it."""
        exchange = exchange_of(flow)
        if exchange and exchange.served and exchange.dropped and exchange.session_id:
            refused = self._refused.pop(exchange.session_id, NOTHING)
            self._refused[exchange.session_id] = refused | exchange.dropped
            while len(self._refused) > SESSIONS:
                self._refused.popitem(last=False)

    def _refuses(self, exchange: Exchange) -> bool:
        """Tell whether upstream has refused thinking of this request, or of this session."""
        return _was_refused(exchange) or exchange.session_id in self._refused

    def _sanitized(self, index: BodyIndex, exchange: Exchange) -> Sanitized:
        try:
            if _was_refused(exchange):
                return Sanitized(index.without_thinking(), history.signatures(index.body))
            refused = self._refused.get(exchange.session_id or "", NOTHING)
            return Sanitized(index.sanitized(refused), exchange.dropped)
        except ValueError:  # no conversation: there is nothing to sanitize
            return Sanitized(index, exchange.dropped)

    async def _in_thread(self, flow: http.HTTPFlow, exchange: Exchange, index: BodyIndex) -> None:
        _take(flow, exchange, await run_in_thread(lambda: self._sanitized(index, exchange)))


def _was_refused(exchange: Exchange) -> bool:
    step = exchange.attempt.step if exchange.attempt else None
    return step is not None and step.without_thinking


def _take(flow: http.HTTPFlow, exchange: Exchange, sanitized: Sanitized) -> None:
    exchange.dropped = sanitized.dropped
    send_edited_body(flow, sanitized.index)
