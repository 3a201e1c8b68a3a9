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
from clustertest.stage import Stage, stage

POOL = Pool(logins=dict.fromkeys("abcd", 36_000.0), routing={"strategy": "round-robin"})
RATIO = 1.1
_AT_ONCE = 12


async def run(scale: Scale) -> list[Figure]:
    """Measure both stages by turns, so that what else the machine does hits both."""
    rounds, requests = (3, 150) if scale.short else (8, 600)
    async with stage(POOL) as clustered, stage(POOL, clustered=False) as alone:
        for running in (clustered, alone):
            await _ask(running.clients, 200)
        costs: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(rounds):
            for with_cluster, running in ((True, clustered), (False, alone)):
                costs[with_cluster].append(await _cost(running, requests))
        figures = _compared(costs[True], costs[False])
        return figures + await _many_sessions(clustered, scale.sessions)


async def _cost(running: Stage, requests: int) -> float:
    """Return the CPU of all replicas for a request, in milliseconds."""
    before = _cpu(running)
    await _ask(running.clients, requests)
    return (_cpu(running) - before) / requests * 1000


def _cpu(running: Stage) -> float:
    return sum(cpu_seconds(replica.pid) for replica in running.replicas)


async def _ask(clients: Clients, requests: int) -> list[Result]:
    """Ask for that many streams of 40 events, each of a conversation of its own, twelve at a time."""
    begun = iter(range(requests))

    async def one_after_the_other() -> list[Result]:
        return [await clients.ask(new_session(), 40) for _ in begun]

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
    idle = _cpu(running)
    await asyncio.sleep(5)
    idle_share = (_cpu(running) - idle) / 5 / len(running.replicas)
    began = time.monotonic()
    results = await _ask(running.clients, sessions)
    seconds = time.monotonic() - began
    await asyncio.sleep(2)
    after, cpu_after = await running.redis_info(), psutil.Process(running.redis.pid).cpu_times()
    busy = cpu_after.user + cpu_after.system - cpu.user - cpu.system
    full = _cpu(running)
    await asyncio.sleep(5)
    full_share = (_cpu(running) - full) / 5 / len(running.replicas)
    rss = ", ".join(f"{rss_mb(r.pid):.0f}" for r in running.replicas)
    return [
        exactly(f"failed of {sessions} first turns", sum(r.failed for r in results), 0),
        at_least("keys in Redis", after["keys"], 1),
        reported("Redis' memory", f"{before['mb']:.1f} MB, then {after['mb']:.1f} MB"),
        reported("Redis' CPU", f"{busy:.1f} s of {seconds:.0f} s ({busy / seconds:.1%})"),
        reported("CPU of an idle replica before", f"{idle_share:.2%} of a core"),
        reported("CPU of an idle replica with all sessions", f"{full_share:.2%} of a core"),
        reported("RSS of the replicas", f"{rss} MB"),
    ]
