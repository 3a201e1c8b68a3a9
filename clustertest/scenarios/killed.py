"""4. A replica is killed: only its streams end, and the next turns keep their accounts."""

import asyncio
from collections.abc import Sequence

from clustertest.figures import Figure, Scale, at_least, exactly
from clustertest.load import Result, new_session
from clustertest.replicas import Pool
from clustertest.stage import REPLICAS, Stage, stage

POOL = Pool(logins=dict.fromkeys("abcd", 36_000.0), routing={"strategy": "round-robin"})
STREAMS = 50
_EVENTS = 40


async def run(scale: Scale) -> list[Figure]:
    async with stage(POOL) as running:
        return await act(running, scale)


async def act(running: Stage, scale: Scale) -> list[Figure]:
    """Kill the replica with most of 50 streams, while the others go on."""
    sessions = [new_session() for _ in range(STREAMS)]
    await running.upstream.reset()
    pause = 0.1 if scale.short else 0.3
    streams = [asyncio.create_task(running.clients.ask(s, _EVENTS, pause)) for s in sessions]
    replica_of, account_of = await _placed(running, pause)
    counts = [sum(r == n for r in replica_of.values()) for n in range(REPLICAS)]
    killed = running.replicas[counts.index(max(counts))]
    await killed.kill()
    first = await asyncio.gather(*streams)
    broken = {r.number for r in first if r.failed}
    its_own = {number for number, replica in replica_of.items() if replica == killed.number}
    again = await asyncio.gather(*(running.clients.ask(s) for s in sessions))
    return [
        at_least("streams of the killed replica", len(its_own), 1),
        exactly("streams of it that ended", len(broken & its_own), len(its_own)),
        exactly("streams of the others that broke", len(broken - its_own), 0),
        exactly("next turns that failed", sum(r.failed for r in again), 0),
        exactly("next turns on their account", _kept(first, again, account_of), STREAMS),
    ]


async def _placed(running: Stage, pause: float) -> tuple[dict[int, int], dict[int, str]]:
    """Return replica and account of each stream by its number, once upstream has all."""
    async with asyncio.timeout(10):
        while len(arrivals := await running.upstream.arrivals()) < STREAMS:
            await asyncio.sleep(0.05)
    # an account has served once its first content has come, the fourth event; replicas hear of it a quarter of a
    # second later, and it is that moment that a kill loses
    await asyncio.sleep(4 * pause + 0.5)
    return (
        {each.number: each.replica for each in arrivals},
        {each.number: each.account for each in arrivals},
    )


def _kept(first: Sequence[Result], again: Sequence[Result], account_of: dict[int, str]) -> int:
    return sum(
        account_of.get(before.number) == after.account
        for before, after in zip(first, again, strict=True)
    )
