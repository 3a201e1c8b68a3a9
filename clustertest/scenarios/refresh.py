"""3. A token expires under load: one refresh over all replicas, also when the one that makes it is killed."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from clustertest.figures import Figure, Scale, at_most, exactly, reported
from clustertest.load import Result, latency
from clustertest.replicas import Pool, Replica
from clustertest.stage import Stage, stage
from clustertest.upstream import Refresh

LEASE = 7.0
"""Seconds after which another replica refreshes for one that was killed, at most: the lease of 5 s, and a try."""
SOON = 3_600.0 + 14.0
"""Tokens are refreshed an hour before their end: these a few seconds after the start."""
_SOON = 10.0
"""Seconds within which an expired token is noticed."""
POOL = Pool(logins={"a": 36_000.0, "b": 36_000.0}, routing={"strategy": "fill-first"})


async def run(scale: Scale) -> list[Figure]:
    pool = Pool(logins={"a": SOON, "b": 36_000.0}, routing={"strategy": "fill-first"})
    async with stage(pool) as running:
        figures = await before_the_end(running, scale)
        figures += await after_a_401(running, scale)
        figures += await killed_while_it_waits(running)
    async with stage(POOL) as running:
        return figures + await killed_when_it_is_stored(running)


async def before_the_end(running: Stage, scale: Scale) -> list[Figure]:
    """The hour before the token's end begins while all replicas are asked."""
    await running.upstream.set(a={"refresh_delay": 0.5})
    await running.upstream.reset()
    results = await running.clients.steady(scale.rate / 2, 16)
    await running.upstream.set(a={"refresh_delay": 0.0})
    return await _figures(running, "an hour before the end", results)


async def after_a_401(running: Stage, scale: Scale) -> list[Figure]:
    """Upstream takes the token no more, from one moment to the next."""
    generation = await _generation(running, "a")
    load = asyncio.create_task(running.clients.steady(scale.rate / 2, scale.phase))
    await asyncio.sleep(0.5)
    await running.upstream.set(a={"oldest_access": generation + 1, "refresh_delay": 0.2})
    results = await load
    await running.upstream.set(a={"refresh_delay": 0.0})
    return await _figures(running, "after a 401", results)


async def killed_while_it_waits(running: Stage, account: str = "a") -> list[Figure]:
    """Kill the holder while the token endpoint has its request and has not exchanged anything yet."""
    generation = await _generation(running, account)
    expired = {"oldest_access": generation + 1, "refresh_delay": 2.0}
    await running.upstream.set(**{account: expired})
    ask = asyncio.create_task(running.clients.steady(20, 4))
    holder = await _holder(running, account)
    await holder.kill()
    killed = time.time()
    await running.upstream.set(**{account: {"refresh_delay": 0.1}})
    await _until_refreshed(running, account)
    return await _after_a_kill(running, account, "killed while it waits", await ask, holder, killed)


async def killed_when_it_is_stored(running: Stage, account: str = "a") -> list[Figure]:
    """Kill the holder as soon as it uses the new token: it may not have released the lock yet."""
    generation = await _generation(running, account)
    await running.upstream.set(**{account: {"oldest_access": generation + 1}})
    ask = asyncio.create_task(running.clients.steady(20, 3))
    holder = await _holder(running, account)
    async with asyncio.timeout(_SOON):
        while max(await _generations(running, account)) <= generation:
            await asyncio.sleep(0.002)
    await holder.kill()
    killed = time.time()
    return await _after_a_kill(running, account, "killed when stored", await ask, holder, killed)


async def _generation(running: Stage, account: str) -> int:
    """Return the generation of the token in use, and count from zero."""
    await running.upstream.reset()
    await running.clients.steady(20, 0.6)
    generation = max(await _generations(running, account))
    await running.upstream.reset()
    return generation


async def _generations(running: Stage, account: str) -> list[int]:
    arrivals = await running.upstream.arrivals()
    return [0, *(each.generation for each in arrivals if each.account == account)]


async def _refreshes(running: Stage, account: str) -> list[Refresh]:
    return [each for each in await running.upstream.refreshes() if each.account == account]


async def _holder(running: Stage, account: str) -> Replica:
    """Return the replica whose request is at the token endpoint."""
    async with asyncio.timeout(_SOON):
        while not (refreshes := await _refreshes(running, account)):
            await asyncio.sleep(0.005)
    return running.replicas[refreshes[0].replica]


async def _until_refreshed(running: Stage, account: str) -> None:
    with suppress(TimeoutError):  # the figures say so
        async with asyncio.timeout(LEASE + 5):
            while not any(r.status == 200 for r in await _refreshes(running, account)):
                await running.clients.steady(10, 0.3)


async def _figures(running: Stage, when: str, results: Sequence[Result]) -> list[Figure]:
    refreshes = await _refreshes(running, "a")
    return [
        exactly(f"{when}: refreshes", len(refreshes), 1),
        exactly(f"{when}: failed requests of {len(results)}", sum(r.failed for r in results), 0),
        reported(f"{when}: {len(results)} requests", str(latency(results))),
    ]


async def _after_a_kill(
    running: Stage,
    account: str,
    when: str,
    results: Sequence[Result],
    holder: Replica,
    killed: float,
) -> list[Figure]:
    refreshes = await _refreshes(running, account)
    good = [r for r in refreshes if r.status == 200]
    later = max((r.arrived - killed for r in good), default=float("inf"))
    at_holder = {a.number for a in await running.upstream.arrivals() if a.replica == holder.number}
    failed = [r for r in results if r.failed and r.number not in at_holder and r.sent > killed + 1]
    return [
        exactly(f"{when}: tokens granted", len(good), 1),
        exactly(f"{when}: refresh tokens used twice", _used_twice(refreshes), 0),
        at_most(f"{when}: granted after the kill", round(later, 1), LEASE, " s"),
        exactly(f"{when}: failed requests of the others", len(failed), 0),
    ]


def _used_twice(refreshes: Sequence[Refresh]) -> int:
    """Count refresh tokens that were shown again after they had been exchanged."""
    shown = Counter((r.account, r.generation) for r in refreshes if r.status in (200, 400))
    return sum(count > 1 for count in shown.values())
