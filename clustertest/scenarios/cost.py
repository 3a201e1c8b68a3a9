"""9. What a cluster costs: CPU a request with and without it, and what a hundred thousand sessions take in Redis."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import chain, cycle
from statistics import median

import psutil

from bench.usage import cpu_seconds, rss_mb
from clustertest.figures import Figure, Scale, at_most, exactly, reported
from clustertest.load import Clients, Result, new_session
from clustertest.replicas import Pool
from clustertest.sessions import place_sessions
from clustertest.stage import REPLICAS, Stage, stage

POOL = Pool(logins=dict.fromkeys("abcd", 36_000.0), routing={"strategy": "round-robin"})
RATIO = 1.1
_AT_ONCE = 12
_TURNS = 10
"""Requests of a conversation, where the CPU of one is measured."""
_READ = 5.0
"""Seconds in which replicas have taken over what another has written: they hear of it, and read all each second."""
_SOME = 200
"""Sessions that have a turn, to see that they are where they were placed."""


async def run(scale: Scale) -> list[Figure]:
    """Measure both stages by turns, so that what else the machine does hits both; the cluster has all sessions then."""
    rounds, requests = (3, 150) if scale.short else (8, 600)
    async with stage(POOL) as clustered, stage(POOL, clustered=False) as alone:
        for running in (clustered, alone):
            await _ask(running.clients, 200)
        figures = [_idle_figure("CPU of an idle replica with cluster", await _idle(clustered))]
        figures += await _many_sessions(clustered, scale.sessions)
        idle = {True: await _idle(clustered), False: await _idle(alone)}
        figures.append(_idle_figure("the same with all sessions", idle[True]))
        figures.append(_idle_figure("without cluster", idle[False]))
        costs: dict[bool, list[float]] = {True: [], False: []}
        redis, began = _redis_cpu(clustered), time.monotonic()
        for _ in range(rounds):
            for with_cluster, running in ((True, clustered), (False, alone)):
                cost = await _cost(running, requests, idle[with_cluster])
                costs[with_cluster].append(cost)
        busy = _redis_cpu(clustered) - redis
        figures += _compared(costs[True], costs[False])
        figures.append(_redis_figure(rounds * requests, busy, time.monotonic() - began))
        return figures


async def _cost(running: Stage, requests: int, idle: float) -> float:
    """Return the CPU of all replicas for a request, in milliseconds, beside what they take `idle`."""
    before, began = _cpu(running), time.monotonic()
    await _ask(running.clients, requests, turns=_TURNS)
    taken = _cpu(running) - before - idle * (time.monotonic() - began)
    return taken / requests * 1000


async def _idle(running: Stage) -> float:
    """Return the CPU of all replicas without requests, in seconds a second."""
    before = _cpu(running)
    await asyncio.sleep(5)
    return (_cpu(running) - before) / 5


def _cpu(running: Stage) -> float:
    return sum(cpu_seconds(replica.pid) for replica in running.replicas)


async def _ask(clients: Clients, requests: int, events: int = 40, turns: int = 1) -> list[Result]:
    """Ask for that many streams, twelve at a time; `turns` of them are a conversation."""
    sessions = [new_session() for _ in range(-(-requests // turns))]
    begun = iter(range(requests))

    async def one_after_the_other() -> list[Result]:
        return [await clients.ask(sessions[n // turns], events) for n in begun]

    return [
        *chain.from_iterable(
            await asyncio.gather(*(one_after_the_other() for _ in range(_AT_ONCE)))
        )
    ]


def _compared(clustered: Sequence[float], alone: Sequence[float]) -> list[Figure]:
    """Compare round by round: what the machine does otherwise changes slower than that."""
    ratio = median(a / b for a, b in zip(clustered, alone, strict=True))
    return [
        reported("CPU a request without cluster", f"{median(alone):.2f} ms"),
        reported("CPU a request with cluster", f"{median(clustered):.2f} ms"),
        at_most("with beside without, median of the rounds", round(ratio, 3), RATIO, " x"),
    ]


async def _many_sessions(running: Stage, sessions: int) -> list[Figure]:
    """Have another replica place that many sessions, and let some of them have a turn at these."""
    before, began, cpu = await running.redis_info(), time.monotonic(), _redis_cpu(running)
    placed = await place_sessions(running, dict(zip(_names(sessions), cycle("abcd"), strict=False)))
    seconds, busy = time.monotonic() - began, _redis_cpu(running) - cpu
    await asyncio.sleep(_READ)
    after = await running.redis_info()
    some = list(placed)[:: max(1, sessions // _SOME)]
    turns = [await running.clients.ask(each) for each in some]
    moved = sum(turn.account != placed[turn.session] for turn in turns)
    rss = ", ".join(f"{rss_mb(r.pid):.0f}" for r in running.replicas)
    return [
        exactly(f"of {len(turns)} out of {sessions} sessions: moved to another account", moved, 0),
        reported("Redis' memory", f"{before['mb']:.1f} MB, then {after['mb']:.1f} MB"),
        reported("Redis' CPU to take all", f"{busy:.1f} s of {seconds:.0f} s"),
        reported("RSS of the replicas", f"{rss} MB"),
    ]


def _names(sessions: int) -> Iterator[str]:
    return (new_session() for _ in range(sessions))


def _redis_cpu(running: Stage) -> float:
    times = psutil.Process(running.redis.pid).cpu_times()
    return times.user + times.system


def _redis_figure(requests: int, busy: float, seconds: float) -> Figure:
    each = f"{busy / seconds:.1%} of a core, {busy / requests * 1000:.2f} ms a request"
    return reported("Redis' CPU meanwhile", each)


def _idle_figure(what: str, replicas: float) -> Figure:
    return reported(what, f"{replicas / REPLICAS:.2%} of a core")
