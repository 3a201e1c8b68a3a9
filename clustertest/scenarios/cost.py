"""9. What a cluster costs: CPU a request with and without it, and what a hundred thousand sessions take in Redis."""

import asyncio
import time
from collections.abc import Sequence
from itertools import chain
from statistics import median

import psutil

from bench.usage import cpu_seconds, rss_mb
from clustertest.figures import Figure, Scale, at_least, at_most, exactly, reported
from clustertest.load import Clients, Result, new_session
from clustertest.replicas import Pool
from clustertest.stage import REPLICAS, Stage, stage

POOL = Pool(logins=dict.fromkeys("abcd", 36_000.0), routing={"strategy": "round-robin"})
RATIO = 1.1
_AT_ONCE = 12
_TURNS = 10
"""Requests of a conversation, where the CPU of one is measured."""


async def run(scale: Scale) -> list[Figure]:
    """Measure both stages by turns, so that what else the machine does hits both."""
    rounds, requests = (3, 150) if scale.short else (8, 600)
    async with stage(POOL) as clustered, stage(POOL, clustered=False) as alone:
        for running in (clustered, alone):
            await _ask(running.clients, 200)
        idle = {True: await _idle(clustered), False: await _idle(alone)}
        costs: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(rounds):
            for with_cluster, running in ((True, clustered), (False, alone)):
                cost = await _cost(running, requests, idle[with_cluster])
                costs[with_cluster].append(cost)
        figures = _compared(costs[True], costs[False])
        figures.append(_idle_figure("CPU of an idle replica without cluster", idle[False]))
        return figures + await _many_sessions(clustered, scale.sessions)


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
    """Let that many conversations have a turn each."""
    before, cpu = await running.redis_info(), psutil.Process(running.redis.pid).cpu_times()
    idle = await _idle(running)
    began = time.monotonic()
    results = await _ask(running.clients, sessions, events=8)
    seconds = time.monotonic() - began
    await asyncio.sleep(2)
    after, cpu_after = await running.redis_info(), psutil.Process(running.redis.pid).cpu_times()
    busy = cpu_after.user + cpu_after.system - cpu.user - cpu.system
    full = await _idle(running)
    rss = ", ".join(f"{rss_mb(r.pid):.0f}" for r in running.replicas)
    return [
        exactly(f"failed of {sessions} first turns", sum(r.failed for r in results), 0),
        at_least("keys in Redis", after["keys"], 1),
        reported("Redis' memory", f"{before['mb']:.1f} MB, then {after['mb']:.1f} MB"),
        reported("Redis' CPU", f"{busy:.1f} s of {seconds:.0f} s ({busy / seconds:.1%})"),
        _idle_figure("CPU of an idle replica with cluster", idle),
        _idle_figure("the same with all sessions", full),
        reported("RSS of the replicas", f"{rss} MB"),
    ]


def _idle_figure(what: str, replicas: float) -> Figure:
    return reported(what, f"{replicas / REPLICAS:.2%} of a core")
