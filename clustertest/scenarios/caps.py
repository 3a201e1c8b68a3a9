"""2. Limits hold over all replicas: of an account, of a day, of a client."""

import asyncio
from collections.abc import Sequence
from itertools import chain

from clustertest.figures import Figure, Scale, at_least, at_most, exactly, reported, within
from clustertest.load import Clients, Result, latency, new_session
from clustertest.replicas import Pool, Replica, get
from clustertest.stage import Stage, stage
from clustertest.upstream import Arrival
from neurolink_mitm.core.cluster.rates import BURST

RATE = 60
SHORT_RATE = 600
CONCURRENT = 6
COST = 0.0089
"""USD of a request of 40 events at least, by the list prices: 28,000 tokens read from the cache at $0.30 a million."""
CAP = 0.5
CLIENT_RATE = 30
CLIENT_CAP = 0.3
_EVENTS = 40


async def run(scale: Scale) -> list[Figure]:
    rate = SHORT_RATE if scale.short else RATE
    keys: dict[str, dict[str, object]] = {
        "a": {"rateLimit": rate},
        "b": {"maxConcurrent": CONCURRENT},
        "c": {},
    }
    figures = []
    async with stage(Pool(keys=keys, routing={"strategy": "fill-first"})) as running:
        figures += await limits_of_accounts(running, scale, rate)
    async with stage(Pool(keys={"a": {}}, routing={"daily-cap-usd": CAP})) as running:
        figures += await cap_of_a_day(running)
    async with stage(Pool(keys={"a": {}})) as running:
        figures += await limits_of_a_client(running)
    return figures


async def limits_of_accounts(running: Stage, scale: Scale, rate: int) -> list[Figure]:
    """Offer more than `rateLimit` and `maxConcurrent` admit; the rest goes to an account without limits."""
    seconds = 12.0 if scale.short else 180.0
    offered = rate / 60 * 3 + 10
    await running.upstream.reset()
    busy = asyncio.create_task(_streams(running, seconds))
    results = await running.clients.steady(offered, seconds)
    streams = await busy
    record = await running.upstream.record()
    arrivals = [Arrival(**each) for each in record["arrivals"]]
    sent = sum(each.account == "a" for each in arrivals)
    wanted = rate / 60 * seconds
    # over three minutes what may be sent at once is within the 5 %
    most = wanted * 1.05 + (rate / 60 * BURST if scale.short else 0)
    return [
        within(f"rateLimit {rate}: requests in {seconds:.0f} s", sent, wanted * 0.95, most),
        at_most(f"maxConcurrent {CONCURRENT}: at once", record["most"].get("b", 0), CONCURRENT),
        at_least("the same, at least", record["most"].get("b", 0), CONCURRENT - 1),
        exactly("requests that failed", sum(r.failed for r in [*results, *streams]), 0),
        reported(f"{len(results)} requests", str(latency(results))),
    ]


async def _streams(running: Stage, seconds: float) -> list[Result]:
    """Keep 24 streams under way, so that there is always one more than `maxConcurrent` admits."""
    end = asyncio.get_running_loop().time() + seconds

    async def one_after_the_other() -> list[Result]:
        results = []
        while asyncio.get_running_loop().time() < end:
            results.append(await running.clients.ask(new_session(), _EVENTS, 0.05))
        return results

    return [*chain.from_iterable(await asyncio.gather(*(one_after_the_other() for _ in range(24))))]


async def cap_of_a_day(running: Stage) -> list[Figure]:
    """Spend until `daily-cap-usd` ends it; what is in flight then may exceed it."""
    results = await _ask_until_refused(running.clients, most=round(CAP / COST * 2))
    spent = _spent(running.replicas)
    return [
        Figure(
            f"daily-cap-usd {CAP}: spent by {sum(not r.failed for r in results)} requests",
            f"${spent:.3f}",
            f"${CAP * 0.9:.2f} to ${CAP + 12 * COST:.2f}",
            CAP * 0.9 <= spent <= CAP + 12 * COST,
        ),
        at_least("requests that were refused then", sum(r.failed for r in results), 1),
    ]


async def _ask_until_refused(clients: Clients, most: int) -> list[Result]:
    """Ask four at a time, each time of another conversation, so that all replicas are asked."""
    results: list[Result] = []
    while len(results) < most and (not results or not all(r.failed for r in results[-8:])):
        results += await asyncio.gather(*(clients.ask(new_session(), _EVENTS) for _ in range(4)))
        await asyncio.sleep(0.05)
    return results


def _spent(replicas: Sequence[Replica]) -> float:
    rows = [row for replica in replicas for row in replica.rows("proxy")]
    return float(sum(row.get("costUsd") or 0.0 for row in rows))


async def limits_of_a_client(running: Stage) -> list[Figure]:
    """Use a client's key at all replicas until its rate, then its cap, ends it."""
    fast = await _add_client(running, "fast", "--rate", str(CLIENT_RATE))
    frugal = await _add_client(running, "frugal", "--daily-cap-usd", str(CLIENT_CAP))
    clients = Clients(running.port, fast)
    seconds = 20.0
    results = await clients.steady(5, seconds)
    served = sum(not r.failed for r in results)
    capped = await _ask_until_refused(Clients(running.port, frugal), most=100)
    spent = sum(not r.failed for r in capped) * COST
    rate = CLIENT_RATE * seconds / 60
    return [
        within(
            f"a client's rate {CLIENT_RATE}: served in {seconds:.0f} s",
            served,
            rate * 0.9,
            rate + CLIENT_RATE,
        ),
        Figure(
            f"a client's daily-cap-usd {CLIENT_CAP}: spent",
            f"${spent:.3f}",
            f"${CLIENT_CAP * 0.85:.2f} to ${CLIENT_CAP + 12 * COST:.2f}",
            CLIENT_CAP * 0.85 <= spent <= CLIENT_CAP + 12 * COST,
        ),
    ]


async def _add_client(running: Stage, name: str, *limits: str) -> str:
    """Add a client by the command at the first replica's home; return the key once all replicas admit it."""
    key = await running.replicas[0].command("clients", "add", name, *limits)
    async with asyncio.timeout(5):
        for replica in running.replicas:
            while (await asyncio.to_thread(_admits, replica.port, key)) is False:
                await asyncio.sleep(0.1)
    return key


def _admits(port: int, key: str) -> bool:
    return get(port, "/v1/models", key)[0] == 200
