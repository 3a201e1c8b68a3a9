"""6. One replica is cut off from Redis only: it goes on by what it knows, and agrees again afterwards."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from itertools import chain

from bench.usage import cpu_seconds
from clustertest.figures import Figure, Scale, at_most, exactly, reported
from clustertest.load import Clients, Result, latency
from clustertest.replicas import Pool, account_of
from clustertest.stage import Stage, stage

POOL = Pool(logins=dict.fromkeys("abcd", 36_000.0), routing={"strategy": "fill-first"})
_RETRY_AFTER = 60
CUT = 1
"""The number of the replica."""
_MORE_CPU, _MORE_CPU_SHORT = 0.05, 0.3
"""Share of a core that it may take more than the others; one whose loop goes round and round takes all of it."""


async def run(scale: Scale) -> list[Figure]:
    async with stage(POOL, relayed=True) as running:
        figures = await act(running, scale, frozen=False)
    async with stage(POOL, relayed=True) as running:
        return figures + await act(running, scale, frozen=True)


async def act(
    running: Stage, scale: Scale, *, frozen: bool = False, account: str = "a"
) -> list[Figure]:
    """Cut replica 1 off, limit an account meanwhile, mend; the frozen way, its connections stay open."""
    relay, how = running.relays[CUT], "frozen" if frozen else "cut"
    relay.freeze() if frozen else relay.cut()
    await asyncio.sleep(0.5)
    await running.upstream.reset()
    before, began = _cpu(running), time.monotonic()
    load = asyncio.create_task(_load(running, scale))
    await asyncio.sleep(1.0)
    await running.upstream.set(**{account: {"retry_after": _RETRY_AFTER}})
    by_replica = await load
    results = [*chain.from_iterable(by_replica)]
    shares = [
        (b - a) / (time.monotonic() - began) for a, b in zip(before, _cpu(running), strict=True)
    ]
    arrivals = [a for a in await running.upstream.arrivals() if a.status == 429]
    first = {r: min((a.answered for a in arrivals if a.replica == r), default=0) for r in range(3)}
    shared = min((at for r, at in first.items() if r != CUT and at), default=0)
    late = [
        a for a in arrivals
        if a.sent > (first[CUT] if a.replica == CUT else shared) + scale.grace
    ]  # fmt: skip
    relay.mend()
    await asyncio.sleep(4.0)
    known = await account_of(running.replicas, account)
    await running.upstream.set(**{account: {"retry_after": None}})
    ends = [each["coolingUntil"] for each in known if each["cooling"]]
    return [
        exactly(f"{how}: failed of {len(results)}", sum(r.failed for r in results), 0),
        exactly(f"{how}: asked again in the cooldown", len(late), 0),
        exactly(f"{how}, mended: replicas that know the cooldown", len(ends), 3),
        at_most(f"{how}, mended: their ends differ by", _spread(ends), 1.0, " s"),
        Figure(
            f"{how}, mended: back-off level",
            ", ".join(str(each["backoffLevel"]) for each in known),
            "1, 1, 1",
            [each["backoffLevel"] for each in known] == [1, 1, 1],
        ),
        _added(how, by_replica, scale),
        _more_cpu(how, shares, scale),
        reported(f"{how}: {len(results)} requests", str(latency(results))),
    ]


async def _load(running: Stage, scale: Scale) -> list[list[Result]]:
    """Send as many requests to each replica."""
    clients = [Clients(replica.port) for replica in running.replicas]
    rate = scale.rate / len(clients)
    results = await asyncio.gather(*(each.steady(rate, scale.phase) for each in clients))
    for each in clients:
        each.close()
    return list(results)


def _cpu(running: Stage) -> list[float]:
    return [cpu_seconds(replica.pid) for replica in running.replicas]


def _added(how: str, results: Sequence[list[Result]], scale: Scale) -> Figure:
    """Compare p99 with that of the other replicas at the same time."""
    cut = latency(results[CUT])
    others = latency(chain.from_iterable(r for n, r in enumerate(results) if n != CUT))
    what = f"{how}: p99 {cut.p99:.1f} ms, the others {others.p99:.1f} ms: added"
    return at_most(what, round(cut.p99 - others.p99, 1), scale.added_ms, " ms")


def _more_cpu(how: str, shares: Sequence[float], scale: Scale) -> Figure:
    others = sum(share for n, share in enumerate(shares) if n != CUT) / (len(shares) - 1)
    what = f"{how}: {shares[CUT]:.1%} of a core, the others {others:.1%}: more"
    more = max(0.0, round(shares[CUT] - others, 3))
    return at_most(what, more, _MORE_CPU_SHORT if scale.short else _MORE_CPU)


def _spread(times: list[str]) -> float:
    seconds = [datetime.fromisoformat(each).timestamp() for each in times]
    return round(max(seconds, default=0.0) - min(seconds, default=0.0), 3)
