"""Whether a request that no account can serve is held: it waits for the first one to recover, for so many seconds.

The number of seconds is `routing.hold`, or that of the client's key; `x-neurolink-hold` may ask for less, or for as
many as the larger of both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from neurolink_mitm.core.exchange import CONVERSATION_KINDS, Exchange, Hold
from neurolink_mitm.core.pool.choice import Requirements
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


def may_be_held(exchange: Exchange) -> bool:
    """Return whether the request is of a kind that is held: messages in any API's form, and the counting of tokens."""
    return exchange.kind in CONVERSATION_KINDS


def hold_step(
    pool: Pool, requirements: Requirements, route: Route, now: float, left: float
) -> Hold | None:
    """Return the step that holds the request, if a target on `route` recovers within the `left` seconds; else None."""
    recoveries = pool.recoveries(requirements, now, route.entries) if left > 0 else {}
    if not route.pool:
        recoveries = {key: at for key, at in recoveries.items() if key in route.entries}
    if not recoveries:
        return None
    key, at = min(recoveries.items(), key=lambda each: each[1])
    if at - now > left:
        return None
    return Hold(now + left, f"held until {key} is back", recovery=True)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a held request may expect now."""

    ready: bool
    """A target may serve it."""
    back_at: float | None = None
    """When (seconds since the epoch) the first target will be back; None: none by itself."""
    account: str | None = None
    """Its key."""


def outlook(
    pool: Pool,
    requirements: Requirements,
    route: Route | None,
    now: float,
    tried: frozenset[str] = frozenset(),
) -> Outlook:
    """Return what such a request may expect; `tried` are keys of accounts that don't count."""
    route = route or THE_POOL
    anyone = replace(requirements, session=None)
    if route.pool and pool.may_serve(anyone, now, tried):
        return Outlook(ready=True)
    if pool.choose_fallback(route.entries, requirements, now, tried).account:
        return Outlook(ready=True)
    recoveries = pool.recoveries(anyone, now, route.entries)
    kept = {k: at for k, at in recoveries.items() if route.pool or k in route.entries}
    if not kept:
        return Outlook(ready=False)
    key, at = min(kept.items(), key=lambda each: each[1])
    return Outlook(False, at, key)
