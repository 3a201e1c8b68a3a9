"""The requests that are held, as `/status` has them."""

from __future__ import annotations

from neurolink_mitm.core.failover.hold import Recovery, first_back
from neurolink_mitm.core.failover.waiting import Kind, Place, WaitingRoom, kind_of
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.providers.destinations import THE_POOL
from neurolink_mitm.core.status.in_flight import Shown, all_shown, shown_name


def held_report(
    room: WaitingRoom, pool: Pool, now: float, shown: Shown = all_shown
) -> list[dict[str, object]]:
    """Return a row for each request that is held and `shown`, in the order in which they go on."""
    firsts: dict[Kind, Recovery | None] = {}
    return [
        _row(place, _first(place, pool, now, firsts))
        for place in room.held
        if shown(place.exchange)
    ]


def _first(
    place: Place, pool: Pool, now: float, firsts: dict[Kind, Recovery | None]
) -> Recovery | None:
    kind, exchange = kind_of(place), place.exchange
    if kind not in firsts:
        route = exchange.route or THE_POOL
        firsts[kind] = first_back(pool, exchange.requirements, route, now)
    return firsts[kind]


def _row(place: Place, first: Recovery | None) -> dict[str, object]:
    exchange = place.exchange
    return {
        "requestId": exchange.request_id,
        "client": shown_name(exchange.client),
        "session": shown_name(exchange.session_id or exchange.labels.get("session")),
        "agent": shown_name(exchange.agent_id),
        "model": shown_name(exchange.model),
        "since": iso(place.since),
        "until": iso(place.step.until),
        "account": first.key if first else None,
        "backAt": iso(first.at) if first else None,
    }
