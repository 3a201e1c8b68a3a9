"""The first byte of an upstream that is far away: TLS, behind a forwarder."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from bench import processes
from bench.certificates import Certificates
from bench.client import AnswerError, Connection, connections
from bench.measure import MeasureError
from bench.payloads import Pace, answer, request, session_id
from bench.plan import Plan
from bench.processes import Server, Target, neurolink
from bench.rows import DIRECT, Rows
from bench.variants import forgetful

ROUND_TRIP_MS = 50

Situation = Literal["new client", "keep-alive", "after idleness", "failover"]
SITUATIONS: tuple[Situation, ...] = ("new client", "keep-alive", "after idleness", "failover")

_PACE = Pace()
_WARM_UP = 3
_EXCHANGE_SECONDS = 10.0
_IDLE_SECONDS = 1.6
"""A pause in which a forgetful proxy lets go of its connections, and a cooldown of 1 s ends."""
_BEFORE_FAILOVER = 3
"""Requests that the first host answers before it answers one by 429."""


@dataclass(frozen=True)
class Distance:
    """The first byte in milliseconds; in the situation `failover` what it takes more than without."""

    row: str
    situation: Situation
    requests: int
    p50_ms: float
    worst_ms: float

    @property
    def round_trips(self) -> float:
        return self.p50_ms / ROUND_TRIP_MS


def measure_distance(rows: Rows, plan: Plan, certificates: Certificates) -> list[Distance]:
    """Start the rows' processes and measure each situation."""
    with ExitStack() as stack:
        upstream = stack.enter_context(processes.upstream(certificates))
        target = stack.enter_context(processes.forwarder(upstream, ROUND_TRIP_MS))
        near = [target.direct] if DIRECT in rows.names else []
        near += [stack.enter_context(start(target)) for start in rows.proxies.values()]
        variants = [forgetful(variant) for variant in rows.variants]
        idle = [stack.enter_context(neurolink(target, variant=each)) for each in variants]
        two = [
            stack.enter_context(neurolink(limited, target, variant=replace(each, accounts=2)))
            for each in variants
            for limited in [stack.enter_context(_limited(certificates))]
        ]
        return asyncio.run(_measure(near, idle, two, plan))


@contextmanager
def _limited(certificates: Certificates) -> Iterator[Target]:
    every = _BEFORE_FAILOVER + 1
    with (
        processes.upstream(certificates, every) as upstream,
        processes.forwarder(upstream, ROUND_TRIP_MS) as target,
    ):
        yield target


async def _measure(
    ordinary: Sequence[Server], idle: Sequence[Server], two_hosts: Sequence[Server], plan: Plan
) -> list[Distance]:
    """Measure all rows at once: they mostly wait."""
    first = await asyncio.gather(*(_ordinary(server, plan.distant) for server in ordinary))
    paused = await asyncio.gather(
        *(_after_idleness(server, plan.distant_pauses) for server in idle),
        *(_failover(server, plan.distant_pauses) for server in two_hosts),
    )
    return [distance for distances in (*first, paused) for distance in distances]


async def _ordinary(server: Server, requests: int) -> list[Distance]:
    for _ in range(_WARM_UP):
        await _by_new_client(server)
    new = [await _by_new_client(server) for _ in range(requests)]
    async with _client(server) as connection:
        await _first_byte(server, connection)
        kept = [await _first_byte(server, connection) for _ in range(requests)]
    return [_distance(server, "new client", new), _distance(server, "keep-alive", kept)]


async def _after_idleness(server: Server, requests: int) -> Distance:
    await _by_new_client(server)
    seconds = []
    for _ in range(requests):
        await asyncio.sleep(_IDLE_SECONDS)
        seconds.append(await _by_new_client(server))
    return _distance(server, "after idleness", seconds)


async def _failover(server: Server, requests: int) -> Distance:
    """Each time with nothing open at first; the requests before the failover are traffic for warm spares."""
    seconds = []
    for _ in range(requests):
        await asyncio.sleep(_IDLE_SECONDS)
        async with _client(server) as connection:
            before = [await _first_byte(server, connection) for _ in range(_BEFORE_FAILOVER)]
            seconds.append(await _first_byte(server, connection) - before[-1])
    return _distance(server, "failover", seconds)


async def _by_new_client(server: Server) -> float:
    """Return the seconds to the first byte, the client's connecting included."""
    started = time.perf_counter()
    async with _client(server) as connection:
        connecting = time.perf_counter() - started
        return connecting + await _first_byte(server, connection)


@asynccontextmanager
async def _client(server: Server) -> AsyncIterator[Connection]:
    async with connections(server, 1) as (connection,):
        yield connection


async def _first_byte(server: Server, connection: Connection) -> float:
    message = request(server.port, "streamed", _PACE, session_id(0))
    try:
        async with asyncio.timeout(_EXCHANGE_SECONDS):
            timing = await connection.exchange(message, answer("streamed", _PACE))
    except (TimeoutError, AnswerError, OSError) as error:
        raise MeasureError(f"{server.name}, distant upstream: {error!r}") from error
    return timing.first_byte


def _distance(server: Server, situation: Situation, seconds: Sequence[float]) -> Distance:
    return Distance(
        row=server.name,
        situation=situation,
        requests=len(seconds),
        p50_ms=median(seconds) * 1000,
        worst_ms=max(seconds) * 1000,
    )
