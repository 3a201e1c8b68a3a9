"""Whether a request that no account can serve is held: it waits for the first one to recover, for so many seconds.

The number of seconds is `routing.hold`, or that of the client's key; `x-neurolink-hold` may ask for less, or for as
many as the larger of both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.exchange import CONVERSATION_KINDS, Exchange, Hold
from neurolink_mitm.core.failover.waiting import WaitingRoom
from neurolink_mitm.core.pool.choice import Choice, Requirements
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.providers.destinations import THE_POOL, Route

HEADER = b"x-neurolink-hold"
_SECONDS = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?", re.ASCII)


def asked_seconds(value: str | None) -> float | None:
    """Return the seconds that the header's `value` asks for; None for one that is no number, which counts as none."""
    return float(value) if value and _SECONDS.fullmatch(value.strip()) else None


def allowed_seconds(asked: float | None, general: float, of_key: float | None) -> float:
    """Return how long a request may be held in all.

    `asked` is what its header says, `general` is `routing.hold`, `of_key` is the value of its client key if it has one.
    """
    if asked is None:
        return general if of_key is None else of_key
    return min(asked, max(general, of_key or 0.0))


def hold_seconds(exchange: Exchange, general: float, clients: Iterable[ClientKey]) -> float:
    """Return how long the request may be held in all, as `routing.hold` and the client keys are now."""
    same = (key for key in clients if key.name == exchange.client)
    key = next(same, exchange.client_key)
    return allowed_seconds(exchange.hold_asked, general, key.hold if key else None)


def may_be_held(exchange: Exchange) -> bool:
    """Return whether the request is of a kind that is held: messages in any API's form, and the counting of tokens."""
    return exchange.kind in CONVERSATION_KINDS


def hold_step(
    pool: Pool, requirements: Requirements, route: Route, now: float, left: float
) -> Hold | None:
    """Return the step that holds the request, if a target on `route` recovers within the `left` seconds; else None."""
    first = first_back(pool, requirements, route, now) if left > 0 else None
    if first is None or first.at - now > left:
        return None
    return Hold(now + left, f"waits for {first.key}", recovery=True)


@dataclass(frozen=True, slots=True)
class Recovery:
    """When (seconds since the epoch) the target `key` recovers by itself."""

    at: float
    key: str


def first_back(pool: Pool, requirements: Requirements, route: Route, now: float) -> Recovery | None:
    """Return which target on `route` that can't serve such a request now recovers first; None if none does."""
    return _first(pool.recoveries(requirements, now, route.entries), route)


def _first(recoveries: Mapping[str, float], route: Route) -> Recovery | None:
    on_route = (key for key in recoveries if route.pool or key in route.entries)
    first = min(on_route, key=recoveries.__getitem__, default=None)
    return Recovery(recoveries[first], first) if first else None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a held request may expect now."""

    ready: bool
    """A target may serve it."""
    first: Recovery | None = None
    """Else: which one will."""


def behind(
    pool: Pool, waiting: WaitingRoom, exchange: Exchange, now: float, until: float
) -> Choice | None:
    """Return that a request waits for its turn, `until` then at most, if one that is held may go on before it now."""
    held = isinstance(exchange.step, Hold) and exchange.step.recovery
    ahead = waiting.ahead_of(exchange) if may_be_held(exchange) and not held else None
    if not ahead or not outlook(pool, exchange.requirements, exchange.route, now, ahead.step).ready:
        return None
    waits_for = "its turn behind those that are held"
    return Choice(None, "held first", {}, wait_until=until, waits_for=waits_for)


def outlook(
    pool: Pool, requirements: Requirements, route: Route | None, now: float, step: Hold
) -> Outlook:
    """Return what a request may expect that `step` holds.

    One that waits for a recovery does not probe an account whose window is used up still, and waits for its turn.
    """
    if step.awaits and (until := pool.asked_until(step.awaits, requirements, now)):
        return Outlook(False, Recovery(until, step.awaits))
    if not step.recovery:
        return Outlook(pool.foresee(requirements, now, step.tried).wait_until is None)
    route, anyone = route or THE_POOL, replace(requirements, session=None)
    recoveries = pool.recoveries(anyone, now, route.entries)
    choice = pool.foresee(anyone, now, recoveries) if route.pool else None
    if choice and choice.account:
        return Outlook(ready=True)
    if choice and choice.wait_until is not None:
        return Outlook(False, Recovery(choice.wait_until, choice.waits_for))
    if pool.choose_fallback(route.entries, requirements, now).account:
        return Outlook(ready=True)
    return Outlook(False, _first(recoveries, route))
