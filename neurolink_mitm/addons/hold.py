from __future__ import annotations

import asyncio
import math
from collections import deque
from functools import partial

from mitmproxy import http

from neurolink_mitm.core.exchange import Exchange, Hold, Outcome
from neurolink_mitm.core.failover.hold import Outlook, hold_seconds, outlook
from neurolink_mitm.core.failover.waiting import Kind, Place, kind_of, wish_of
from neurolink_mitm.dataplane.hooks import exchange_of, resume
from neurolink_mitm.ports import Runtime

CHECK = 1.0
"""Seconds after which held requests are looked at, though nothing has happened: a clock may have been set."""
SETTLE = 0.02
"""Seconds for which a request stays held at least, so that none goes on and comes back all the time."""
SLICE = 0.005
"""Seconds of a turn of the event loop that looking at held requests takes, about."""
REST = 4
"""Times as long as that took nobody looks: of many accounts and models, it takes a while."""


class Holding:
    """Lets requests wait for an account, and go on in their order, one by one, as soon as one may serve.

    The data plane holds them; their order and their bounds are the waiting room's.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._next: asyncio.Handle | None = None
        """The next time that they are looked at."""
        self._timer: asyncio.TimerHandle | None = None
        """The same, if nothing happens before."""
        self._unseen: deque[Place] = deque()
        """Those that are still to be looked at this time."""
        self._outlooks: dict[Kind, Outlook] = {}
        self._passed_over: set[Kind] = set()
        """What those wish that were looked at this time and stay: a later one like them doesn't go before them."""
        self._first_at = math.inf
        """Seconds until the first of those that were looked at may go on."""
        self._changed = False
        """The pool has changed since they were looked at."""
        self._spent = 0.0
        self._rests_until = -math.inf
        runtime.pool.on_change = self._on_change

    def hold(self, flow: http.HTTPFlow) -> None:
        exchange = exchange_of(flow)
        if exchange is None or not isinstance(exchange.step, Hold):
            return
        now = self.runtime.clock.now()
        exchange.why = exchange.step.why
        self.runtime.waiting.enter(exchange, exchange.step, now, _steady(), partial(resume, flow))
        self._on_change()

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

    def _on_change(self) -> None:
        if self.runtime.waiting:
            self._changed = True
            self._look_soon()

    def _look_soon(self) -> None:
        if self.runtime.waiting and self._next is None:
            loop = asyncio.get_running_loop()
            self._next = loop.call_at(max(loop.time(), self._rests_until), self._look)

    def _look(self) -> None:
        """Let the first one go on that may; the next one in the next turn of the loop, when this one has begun."""
        self._next = None
        if not self._unseen:
            self._unseen.extend(self.runtime.waiting.waiting)
            self._outlooks.clear()
            self._passed_over.clear()
            self._first_at, self._changed, self._spent = math.inf, False, 0.0
        began = _steady()
        while self._unseen and _steady() - began < SLICE:
            if self._goes_on(self._unseen.popleft()):
                break
        self._spent += _steady() - began
        if self._unseen:
            self._look_soon()
            return
        self._rests_until = began + REST * self._spent
        if self._changed:
            self._look_soon()
        else:
            self._look_later()

    def _goes_on(self, place: Place) -> bool:
        """Let a request go on that may, or that waits in vain. Return whether it does."""
        if not place.waiting:
            return False
        now, steady = self.runtime.clock.now(), _steady()
        if not self._may_go_on(place, now, steady):
            if place.step.recovery:
                self._passed_over.add(wish_of(place.exchange))
            return False
        self._outlooks.clear()
        self.runtime.waiting.resumed(place.exchange, steady)
        place.resume()
        return True

    def _may_go_on(self, place: Place, now: float, steady: float) -> bool:
        expects = self._outlook(place, now)
        if not (expects.ready or self._waits_in_vain(place, expects, now, steady)):
            if expects.first:
                self._first_at = min(self._first_at, expects.first.at - now)
            return False
        if steady - place.steady < SETTLE and not place.step.awaits:
            self._first_at = min(self._first_at, SETTLE)
            return False
        return not (expects.ready and wish_of(place.exchange) in self._passed_over)

    def _outlook(self, place: Place, now: float) -> Outlook:
        kind = kind_of(place)
        if kind not in self._outlooks:
            exchange = place.exchange
            of, pool = exchange.requirements, self.runtime.pool
            self._outlooks[kind] = outlook(pool, of, exchange.route, now, place.step)
        return self._outlooks[kind]

    def _waits_in_vain(self, place: Place, expects: Outlook, now: float, steady: float) -> bool:
        """Return whether no account will be back while the request may be held, as things are configured now."""
        if not place.step.recovery:
            return False
        general, clients = self.runtime.config.routing.hold, self.runtime.clients
        left = hold_seconds(place.exchange, general, clients) - place.age(steady)
        return expects.first is None or expects.first.at - now > left

    def _look_later(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self.runtime.waiting:
            seconds = min(CHECK, max(0.005, self._first_at))
            self._timer = asyncio.get_running_loop().call_later(seconds, self._look_soon)


def _steady() -> float:
    return asyncio.get_running_loop().time()
