"""5. Redis hangs, dies and comes back empty: no request fails or waits, and what the replicas know is written back."""

import asyncio
from collections.abc import Sequence

from clustertest.figures import Figure, Scale, at_least, at_most, exactly, reported
from clustertest.load import Latency, Result, latency
from clustertest.replicas import Pool, account_of
from clustertest.stage import REPLICAS, Stage, stage

POOL = Pool(logins=dict.fromkeys("abcd", 36_000.0), routing={"strategy": "fill-first"})
_BACK = 5.0
"""Seconds after which all is written back: a tick, and the breaker's probe."""


async def run(scale: Scale) -> list[Figure]:
    async with stage(POOL) as running:
        return await act(running, scale)


async def act(running: Stage, scale: Scale) -> list[Figure]:
    await _limit(running)
    before = await running.redis_keys()
    phases: dict[str, list[Result]] = {"there": await _load(running, scale)}
    running.redis.hang()
    phases["hung"] = await _load(running, scale)
    running.redis.kill()
    phases["dead"] = await _load(running, scale)
    running.redis.start()
    phases["back, empty"] = await _load(running, scale)
    await asyncio.sleep(_BACK if not scale.short else 2.0)
    after = await running.redis_keys()
    cooling = [each["cooling"] for each in await account_of(running.replicas, "b")]
    missing = sorted(before.keys() - after.keys())
    latencies = {name: latency(results) for name, results in phases.items()}
    return [
        *(_failed(name, results) for name, results in phases.items()),
        *(_added(name, latencies["there"], found, scale) for name, found in latencies.items()),
        Figure(
            "keys in Redis that were not written back",
            ", ".join(missing) or "none",
            "none",
            not missing,
        ),
        at_least("cooldowns in Redis again", _sized(after, "cooldowns"), 1, " bytes"),
        at_least("logins in Redis again", _sized(after, "tokens"), 1, " bytes"),
        exactly("replicas that know the cooldown", sum(cooling), REPLICAS),
        reported("keys", ", ".join(sorted(after))[:200] or "none"),
    ]


async def _limit(running: Stage) -> None:
    """Let account `b` have a cooldown of ten minutes: `a` is limited for a second, so that `b` is asked."""
    await running.upstream.set(a={"retry_after": 1}, b={"retry_after": 600})
    await running.clients.steady(20, 0.6)
    await running.upstream.set(a={"retry_after": None}, b={"retry_after": None})
    await asyncio.sleep(1.0)
    await running.clients.steady(20, 1)


async def _load(running: Stage, scale: Scale) -> list[Result]:
    return await running.clients.steady(scale.rate / 2, scale.phase)


def _failed(name: str, results: Sequence[Result]) -> Figure:
    return exactly(f"{name}: failed of {len(results)}", sum(r.failed for r in results), 0)


def _added(name: str, there: Latency, found: Latency, scale: Scale) -> Figure:
    if name == "there":
        return reported("there: first byte", str(found))
    added = round(found.p99 - there.p99, 1)
    return at_most(f"{name}: added to p99 ({found})", added, scale.added_ms, " ms")


def _sized(keys: dict[str, int], word: str) -> int:
    return sum(size for key, size in keys.items() if word in key)
