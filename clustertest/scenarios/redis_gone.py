"""5. Redis hangs, dies and comes back empty: no request fails or waits, and what the replicas know is written back."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from clustertest.figures import Figure, Scale, at_least, at_most, exactly, reported
from clustertest.load import Clients, Result, latency
from clustertest.replicas import Pool, account_of
from clustertest.stage import REPLICAS, Stage, stage
from tests.cluster.redis_server import RedisServer

POOL = Pool(logins=dict.fromkeys("abcd", 36_000.0), routing={"strategy": "fill-first"})
PHASES: dict[str, Callable[[RedisServer], object]] = {
    "there": lambda redis: None,
    "hung": lambda redis: redis.hang(),
    "dead": lambda redis: redis.kill(),
    "back, empty": lambda redis: redis.start(),
}
"""What begins each phase."""
SLICE = 0.5
"""Seconds of a phase that are judged by themselves."""
_BACK = 3.0
"""Seconds after which all is written back: a tick, and what the breaker waits."""


@dataclass(frozen=True)
class Phase:
    """The results of the replicas, and those of the control at the same time."""

    began: float
    shared: list[Result] = field(default_factory=list)
    alone: list[Result] = field(default_factory=list)


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
        _worst_slices(rounds, scale),
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
    """Let Redis go and come back while requests come without a pause."""
    load = asyncio.create_task(_load(running, scale))
    began, phases = time.time(), {}
    for number, (name, happens) in enumerate(PHASES.items()):
        await asyncio.sleep(began + number * scale.phase - time.time())
        phases[name] = Phase(time.time())
        await asyncio.to_thread(happens, running.redis)
    shared, alone = await load
    for result in shared:
        _phase_of(result, phases.values()).shared.append(result)
    for result in alone:
        _phase_of(result, phases.values()).alone.append(result)
    return phases


def _phase_of(result: Result, phases: Iterable[Phase]) -> Phase:
    first, *later = phases
    return max([first, *(p for p in later if p.began <= result.sent)], key=lambda p: p.began)


async def _limit(running: Stage) -> None:
    """Let account `b` have a cooldown of ten minutes: `a` is limited for a second, so that `b` is asked."""
    await running.upstream.set(a={"retry_after": 1}, b={"retry_after": 600})
    await running.clients.steady(20, 0.6)
    await running.upstream.set(a={"retry_after": None}, b={"retry_after": None})
    await asyncio.sleep(1.0)
    await running.clients.steady(20, 1)


async def _load(running: Stage, scale: Scale) -> tuple[list[Result], list[Result]]:
    """Send as many requests to the control as to all replicas, never to two at once: they share the machine."""
    seconds, rate = scale.phase * len(PHASES), scale.rate / 2
    parts = [(replica, n / rate, rate / REPLICAS) for n, replica in enumerate(running.replicas)]
    parts += [(control, 0.5 / rate, rate) for control in [running.control] if control]
    clients = [Clients(proxy.port) for proxy, _, _ in parts]

    async def steady(n: int) -> list[Result]:
        _, after, own_rate = parts[n]
        await asyncio.sleep(after)
        return await clients[n].steady(own_rate, seconds)

    results = await asyncio.gather(*map(steady, range(len(clients))))
    for each in clients:
        each.close()
    return [*chain.from_iterable(results[:REPLICAS])], [*chain.from_iterable(results[REPLICAS:])]


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


def _worst_slices(rounds: Sequence[dict[str, Phase]], scale: Scale) -> Figure:
    """Compare the p99 of the worst half second of the replicas with that of the control, if there is one."""
    shared, alone = (_slices(rounds, of) for of in (lambda p: p.shared, lambda p: p.alone))
    worst = max(shared, key=lambda each: shared[each])
    what = f"worst half second: {worst}: p99 {shared[worst]:.1f} ms"
    if not alone:
        return reported("worst half second", f"{worst}: p99 {shared[worst]:.1f} ms")
    control = max(alone.values())
    what = f"{what}, the control's {control:.1f} ms: added"
    return at_most(what, round(shared[worst] - control, 1), scale.added_ms, " ms")


def _slices(
    rounds: Sequence[dict[str, Phase]], results: Callable[[Phase], list[Result]]
) -> dict[str, float]:
    """Return the p99 of each half second after what happened, of all rounds together."""
    slices: dict[str, list[Result]] = defaultdict(list)
    for each in rounds:
        for name, phase in each.items():
            for result in results(phase):
                after = max(0.0, result.sent - phase.began) // SLICE * SLICE
                slices[f"{name}, {after:.1f} s"].append(result)
    return {name: latency(some).p99 for name, some in slices.items()}


def _sized(keys: dict[str, int], word: str) -> int:
    return sum(size for key, size in keys.items() if word in key)


async def _lags(running: Stage) -> list[str]:
    """Return the longest lag of each event loop, the control's last."""
    replicas = [*running.replicas, *([running.control] if running.control else [])]
    statuses = [await replica.status() for replica in replicas]
    return [f"{each['loop']['lagMs']['max']:.0f} ms" for each in statuses]
