from __future__ import annotations

import asyncio
import math
from functools import partial

from mitmproxy import http

from neurolink_mitm.core.exchange import Exchange, Hold, Outcome
from neurolink_mitm.core.failover.hold import Outlook, outlook
from neurolink_mitm.core.failover.waiting import Kind, Place, kind_of
from neurolink_mitm.dataplane.hooks import exchange_of, resume
from neurolink_mitm.ports import Runtime

CHECK = 1.0
"""Seconds after which held requests are looked at, though nothing was heard of: a clock may have been set."""

SETTLE = 0.02
"""Seconds for which a request stays held at least, so that none goes on and comes back all the time."""


class Holding:
    """Lets requests wait for an account, and go on in their order, one by one, as soon as one may serve.

    The data plane holds them; their order and their bounds are the waiting room's.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._timer: asyncio.TimerHandle | None = None
        self._next: asyncio.Handle | None = None
        runtime.pool.on_change = self._look_soon

    def hold(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if exchange is None or not isinstance(exchange.step, Hold):
            return
        now = self.runtime.clock.now()
        self.runtime.waiting.enter(exchange, exchange.step, now, _steady(), partial(resume, flow))
        self._look_soon()

    def attempt(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if exchange is not None and exchange.place is not None:
            self.runtime.waiting.resumed(exchange, _steady())

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if exchange is not None and exchange.place is not None:
            self._leave(exchange)

    response = error = responseheaders

    def done(self) -> None:
        for handle in (self._timer, self._next):
            if handle:
                handle.cancel()

    def _leave(self, exchange: Exchange) -> None:
        left = exchange.outcome is Outcome.CANCELLED
        now = self.runtime.clock.now()
        self.runtime.waiting.leave(exchange, now, _steady(), client_left=left)

    # Who goes on

    def _look_soon(self) -> None:
        if self.runtime.waiting and self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        """Let the first one go on that may; the next one in the next turn of the loop, when this one has begun."""
        self._next = None
        now, steady = self.runtime.clock.now(), _steady()
        outlooks: dict[Kind, Outlook] = {}
        first_at = math.inf
        for place in self.runtime.waiting.waiting:
            expects = self._outlook(place, now, outlooks)
            if not (expects.ready or _waits_in_vain(place, expects, now, steady)):
                if expects.first:
                    first_at = min(first_at, expects.first.at - now)
            elif steady - place.steady < SETTLE:
                first_at = min(first_at, SETTLE)
            else:
                self.runtime.waiting.resumed(place.exchange, steady)
                place.resume()
                self._look_soon()
                return
        self._look_later(first_at)

    def _outlook(self, place: Place, now: float, outlooks: dict[Kind, Outlook]) -> Outlook:
        kind = kind_of(place)
        if kind not in outlooks:
            exchange = place.exchange
            of, pool = exchange.requirements, self.runtime.pool
            outlooks[kind] = outlook(pool, of, exchange.route, now, place.step)
        return outlooks[kind]

    def _look_later(self, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self.runtime.waiting:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(min(CHECK, max(0.005, seconds)), self._look_soon)


def _waits_in_vain(place: Place, expects: Outlook, now: float, steady: float) -> bool:
    """Whether no account will be back within the time that the request may be held."""
    if not place.step.recovery:
        return False
    return expects.first is None or expects.first.at - now > place.left(steady)


def _steady() -> float:
    return asyncio.get_running_loop().time()
