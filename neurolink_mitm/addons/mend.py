from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable
from dataclasses import dataclass

from mitmproxy import http

from neurolink_mitm.core import history
from neurolink_mitm.core.exchange import Exchange, Try
from neurolink_mitm.core.json_groups import LARGE
from neurolink_mitm.mitm.aside import aside
from neurolink_mitm.mitm.hooks import exchange_of
from neurolink_mitm.ports import Runtime

SESSIONS = 1000
"""Whose refused thinking is remembered; the one longest unused is forgotten first."""
MENDED_AT_ONCE, READ_AT_ONCE = 1000, 40_000
"""Objects of a body, on the event loop: some milliseconds."""
NOTHING: frozenset[str] = frozenset()


class Mend:
    """Takes out of the history what Anthropic refuses. The client's own copy of it is left alone.

    What was refused once in a session is left out of its later requests from the start.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._refused: OrderedDict[str, frozenset[str]] = OrderedDict()

    def attempt(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Waits only where it takes long, so that other attempts need not be awaited."""
        exchange = exchange_of(flow)
        body = flow.request.raw_content
        if flow.response or exchange is None or exchange.account is None or not body:
            return None
        if not exchange.account.is_anthropic:
            return None
        objects = body.count(b"{")  # at most
        if len(body) > LARGE or objects > READ_AT_ONCE:
            return self._aside(flow, exchange, body)
        if objects <= MENDED_AT_ONCE:
            _take(flow, exchange, self._mended(body, exchange))
        elif not self._is_needless(body, exchange):
            return self._aside(flow, exchange, body)
        return None

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """What was refused is known once it has been accepted without."""
        exchange = exchange_of(flow)
        if exchange and exchange.served and exchange.dropped and exchange.session_id:
            known = self._refused.pop(exchange.session_id, NOTHING)
            self._refused[exchange.session_id] = known | exchange.dropped
            while len(self._refused) > SESSIONS:
                self._refused.popitem(last=False)

    def _mended(self, body: bytes, exchange: Exchange) -> Mended:
        try:
            if isinstance(exchange.step, Try) and exchange.step.mended:
                dropped = history.signatures(body)
                return Mended(history.without_thinking(body) or body, dropped)
            refused = self._refused.get(exchange.session_id or "", NOTHING)
            return Mended(history.acceptable(body, refused), exchange.dropped)
        except ValueError:  # no conversation: there is nothing to mend
            return Mended(body, exchange.dropped)

    def _is_needless(self, body: bytes, exchange: Exchange) -> bool:
        """Told by a look that takes little time."""
        step = exchange.step
        if (isinstance(step, Try) and step.mended) or exchange.session_id in self._refused:
            return False
        try:
            return history.is_acceptable(body)
        except ValueError:
            return True

    async def _aside(self, flow: http.HTTPFlow, exchange: Exchange, body: bytes) -> None:
        _take(flow, exchange, await aside(lambda: self._mended(body, exchange)))


@dataclass(frozen=True, slots=True)
class Mended:
    """The request, and the digests of the thinking that has been left out because upstream had refused it."""

    body: bytes
    dropped: frozenset[str]


def _take(flow: http.HTTPFlow, exchange: Exchange, mended: Mended) -> None:
    exchange.dropped = mended.dropped
    if mended.body is not flow.request.raw_content:
        flow.request.content = mended.body  # sets content-length, too
