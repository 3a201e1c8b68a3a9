"""The waiting room: the requests that are held, in the order in which they came.

Times are seconds since the epoch; those named `steady` are monotonic.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count

from neurolink_mitm.core.exchange import Exchange, Hold

MOST = 200
"""Requests that are held at most."""
MOST_BYTES = 256 * 1024 * 1024
"""Bytes that the bodies of held requests take at most."""
RETURN = 10.0
"""Seconds in which a client that has left may take its place again."""
MOST_LEFT = 1000
"""Places of clients that have left."""

Who = tuple[str | None, str, str | None]
"""Client key, session and agent."""


@dataclass(eq=False, slots=True)
class Place:
    """The place of one request, from when it is first held until its response begins."""

    number: int
    exchange: Exchange
    step: Hold
    resume: Callable[[], object]
    """Lets the request go on."""
    since: float
    """When it was first held."""
    steady: float
    """When it was last held, monotonic."""
    waiting: bool = True
    """It is held now; else it tries an account."""

    def age(self, steady: float) -> float:
        """Return the seconds since its request was whole, whatever was done with the wall clock."""
        return self.exchange.age + steady - self.steady


@dataclass(slots=True)
class WaitingRoom:
    """The places, by request id and in order. Short waits (`Hold.recovery` is false) don't count as held."""

    most: int = MOST
    most_bytes: int = MOST_BYTES
    _places: dict[str, Place] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)
    _left: deque[tuple[float, Who, int]] = field(default_factory=lambda: deque(maxlen=MOST_LEFT))

    def __bool__(self) -> bool:
        return bool(self._places)

    @property
    def waiting(self) -> list[Place]:
        """The requests that wait, in order."""
        waiting = [place for place in list(self._places.values()) if place.waiting]
        return sorted(waiting, key=lambda place: place.number)

    @property
    def held(self) -> list[Place]:
        """Those that wait for an account to recover."""
        return [place for place in self.waiting if place.step.recovery]

    def since(self, exchange: Exchange) -> float | None:
        """Return when a request that waits was first held."""
        place = self._places.get(exchange.request_id)
        return place.since if place and place.waiting else None

    def ahead_of(self, exchange: Exchange) -> Place | None:
        """Return the first request that is held, may expect the same as `exchange`, and came before it."""
        if not self._places:
            return None
        wish, own = wish_of(exchange), math.inf if exchange.place is None else exchange.place
        same = (each for each in self.held if wish_of(each.exchange) == wish)
        return next((each for each in same if each.number < own), None)

    def has_room(self, exchange: Exchange) -> bool:
        """Return whether one more request may be held; one that has its place already may."""
        if exchange.request_id in self._places and exchange.place is not None:
            return True
        held = [each for each in self._places.values() if each.step.recovery]
        size = sum(each.exchange.body_size for each in held) + exchange.body_size
        return len(held) < self.most and size <= self.most_bytes

    def enter(
        self,
        exchange: Exchange,
        step: Hold,
        now: float,
        steady: float,
        resume: Callable[[], object],
    ) -> Place:
        """Hold a request, in the place that it had or that its session and agent left a moment ago, else the last."""
        before = self._places.get(exchange.request_id)
        if exchange.place is None:
            exchange.place = self._place_of(exchange, now)
        since = before.since if before else now
        place = Place(exchange.place, exchange, step, resume, since, steady)
        self._places[exchange.request_id] = place
        return place

    def resumed(self, exchange: Exchange, steady: float) -> None:
        """Note that the request goes on; it keeps its place until its response begins."""
        place = self._places.get(exchange.request_id)
        if place and place.waiting:
            place.waiting = False
            exchange.held_seconds += max(0.0, steady - place.steady)

    def leave(self, exchange: Exchange, now: float, steady: float, *, client_left: bool) -> None:
        """Free the place. A client that has left may come back for it."""
        self.resumed(exchange, steady)
        place = self._places.pop(exchange.request_id, None)
        who = who_of(exchange)
        if place and who and client_left:
            self._left.append((now, who, place.number))

    def _place_of(self, exchange: Exchange, now: float) -> int:
        who = who_of(exchange)
        for entry in self._left:
            left_at, each, number = entry
            if each == who and abs(now - left_at) <= RETURN:
                self._left.remove(entry)
                return number
        return next(self._numbers)


Kind = tuple[object, ...]


def kind_of(place: Place) -> Kind:
    """Return what held requests have in common that may expect the same."""
    exchange, step = place.exchange, place.step
    if step.recovery:
        return (*wish_of(exchange), step.recovery)
    return exchange.requirements, _on(exchange), step.recovery, step.tried, step.awaits


def wish_of(exchange: Exchange) -> Kind:
    """Return what decides which target may serve the request, whatever its session."""
    return replace(exchange.requirements, session=None), _on(exchange)


def _on(exchange: Exchange) -> Kind:
    route = exchange.route
    return (route.pool, route.entries) if route else ()


def who_of(exchange: Exchange) -> Who | None:
    """Return by what a client that comes back is recognised; None without a session."""
    if exchange.session_id is None:
        return None
    return exchange.client, exchange.session_id, exchange.agent_id
