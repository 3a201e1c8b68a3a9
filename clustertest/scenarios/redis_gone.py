"""5. Redis hangs, dies and comes back empty: no request fails or waits, and what the replicas know is written back."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from clustertest.figures import Figure, Scale, at_least, at_most, exactly, reported
from clustertest.load import Clients, Result, latency
from clustertest.replicas import Pool, account_of
from clustertest.stage import REPLICAS, Stage, stage

POOL = Pool(logins=dict.fromkeys("abcd", 36_000.0), routing={"strategy": "fill-first"})
PHASES = ("there", "hung", "dead", "back, empty")
_BACK = 3.0
"""Seconds after which all is written back: a tick, and what the breaker waits."""


@dataclass(frozen=True)
class Phase:
    """The results of the replicas, and those of the control at the same time."""

    shared: list[Result]
    alone: list[Result]


async def run(scale: Scale) -> list[Figure]:
    async with stage(POOL, control=True) as running:
        return await act(running, scale)


async def act(running: Stage, scale: Scale) -> list[Figure]:
    """Let Redis hang, die and come back, several times; judge times by those of a proxy that has no Redis."""
    await _limit(running)
    before = await running.redis_keys()
    rounds = [await _round(running, scale) for _ in range(scale.rounds)]
    await asyncio.sleep(_BACK)
    after = await running.redis_keys()
    cooling = [each["cooling"] for each in await account_of(running.replicas, "b")]
    missing = sorted(before.keys() - after.keys())
    return [
        *(_failed(name, [each[name] for each in rounds]) for name in PHASES),
        *(
            _added(name, [each[name] for each in rounds], [each["there"] for each in rounds], scale)
            for name in PHASES
        ),
        Figure(
            "keys in Redis that were not written back",
            ", ".join(missing) or "none",
            "none",
            not missing,
        ),
        at_least("cooldowns in Redis again", _sized(after, "cooldowns"), 1, " bytes"),
        at_least("logins in Redis again", _sized(after, "logins"), 1, " bytes"),
        exactly("replicas that know the cooldown", sum(cooling), REPLICAS),
        reported("lag of the event loops", ", ".join(await _lags(running))),
        reported("keys", ", ".join(sorted(after))[:200] or "none"),
    ]


async def _round(running: Stage, scale: Scale) -> dict[str, Phase]:
    phases = {"there": await _load(running, scale)}
    running.redis.hang()
    phases["hung"] = await _load(running, scale)
    running.redis.kill()
    phases["dead"] = await _load(running, scale)
    await asyncio.to_thread(running.redis.start)
    phases["back, empty"] = await _load(running, scale)
    return phases


async def _limit(running: Stage) -> None:
    """Let account `b` have a cooldown of ten minutes: `a` is limited for a second, so that `b` is asked."""
    await running.upstream.set(a={"retry_after": 1}, b={"retry_after": 600})
    await running.clients.steady(20, 0.6)
    await running.upstream.set(a={"retry_after": None}, b={"retry_after": None})
    await asyncio.sleep(1.0)
    await running.clients.steady(20, 1)


async def _load(running: Stage, scale: Scale) -> Phase:
    """Send as many requests to each replica, and to the control, never to two at once: they share the machine."""
    proxies = [*running.replicas, *([running.control] if running.control else [])]
    clients = [Clients(proxy.port) for proxy in proxies]
    rate = scale.rate / 2 / REPLICAS

    async def steady(n: int) -> list[Result]:
        await asyncio.sleep(n / len(clients) / rate)
        return await clients[n].steady(rate, scale.phase)

    results = await asyncio.gather(*map(steady, range(len(clients))))
    for each in clients:
        each.close()
    return Phase(
        [*chain.from_iterable(results[:REPLICAS])], [*chain.from_iterable(results[REPLICAS:])]
    )


def _failed(name: str, phases: Sequence[Phase]) -> Figure:
    results = [r for phase in phases for r in phase.shared]
    return exactly(f"{name}: failed of {len(results)}", sum(r.failed for r in results), 0)


def _added(name: str, phases: Sequence[Phase], there: Sequence[Phase], scale: Scale) -> Figure:
    """Compare p99 with that of the control at the same time; without one, with that of the time before."""
    found = latency(r for phase in phases for r in phase.shared)
    control = [r for phase in phases for r in phase.alone]
    beside = latency(control or [r for phase in there for r in phase.shared])
    what = f"{name}: p99 {found.p99:.1f} ms, {'control' if control else 'before'} {beside.p99:.1f} ms: added"
    return at_most(what, round(found.p99 - beside.p99, 1), scale.added_ms, " ms")


def _sized(keys: dict[str, int], word: str) -> int:
    return sum(size for key, size in keys.items() if word in key)


async def _lags(running: Stage) -> list[str]:
    """Return the longest lag of each event loop, the control's last."""
    replicas = [*running.replicas, *([running.control] if running.control else [])]
    statuses = [await replica.status() for replica in replicas]
    return [f"{each['loop']['lagMs']['max']:.0f} ms" for each in statuses]
