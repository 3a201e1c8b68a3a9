"""6. One replica is cut off from Redis only: it goes on by what it knows, and agrees again afterwards."""

import asyncio
from datetime import datetime

from clustertest.figures import Figure, Scale, at_most, exactly, reported
from clustertest.load import latency
from clustertest.replicas import Pool, account_of
from clustertest.stage import Stage, stage

POOL = Pool(logins=dict.fromkeys("abcd", 36_000.0), routing={"strategy": "fill-first"})
_RETRY_AFTER = 60


async def run(scale: Scale) -> list[Figure]:
    async with stage(POOL, relayed=True) as running:
        figures = await act(running, scale, frozen=False)
    async with stage(POOL, relayed=True) as running:
        return figures + await act(running, scale, frozen=True)


async def act(
    running: Stage, scale: Scale, *, frozen: bool = False, account: str = "a"
) -> list[Figure]:
    """Cut replica 1 off, limit an account meanwhile, mend; the frozen way, its connections stay open."""
    relay, how = running.relays[1], "frozen" if frozen else "cut"
    relay.freeze() if frozen else relay.cut()
    await asyncio.sleep(0.5)
    await running.upstream.reset()
    load = asyncio.create_task(running.clients.steady(scale.rate / 2, scale.phase))
    await asyncio.sleep(1.0)
    await running.upstream.set(**{account: {"retry_after": _RETRY_AFTER}})
    results = await load
    arrivals = [a for a in await running.upstream.arrivals() if a.status == 429]
    first = {r: min((a.answered for a in arrivals if a.replica == r), default=0) for r in range(3)}
    shared = min((at for r, at in first.items() if r != 1 and at), default=0)
    late = [
        a for a in arrivals
        if a.sent > (first[1] if a.replica == 1 else shared) + scale.grace
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
        reported(f"{how}: {len(results)} requests", str(latency(results))),
    ]


def _spread(times: list[str]) -> float:
    seconds = [datetime.fromisoformat(each).timestamp() for each in times]
    return round(max(seconds, default=0.0) - min(seconds, default=0.0), 3)
