"""1. An account is limited under load: nobody asks it again but for one probe a cooldown, over all replicas."""

import asyncio
from collections.abc import Sequence

from clustertest.figures import Figure, Scale, at_least, exactly, reported
from clustertest.load import Result, latency, new_session
from clustertest.replicas import Pool, levels
from clustertest.stage import Stage, stage
from clustertest.upstream import Arrival

POOL = Pool(logins=dict.fromkeys("abcd", 36_000.0), routing={"strategy": "fill-first"})
RETRY_AFTER = 2
_EARLY = 0.05
"""Seconds by which a probe may come before the end of a cooldown as upstream reckons it."""
_EVENTS = 40


async def run(scale: Scale) -> list[Figure]:
    async with stage(POOL) as running:
        return await act(running, scale)


async def act(running: Stage, scale: Scale) -> list[Figure]:
    """Limit account `a` while streams run and new requests come; its cooldowns last 2, 4, … s."""
    seconds = 5.0 if scale.short else 16.0
    streams = await _begin_streams(running, scale, seconds)
    await running.upstream.reset()
    load = asyncio.create_task(running.clients.steady(scale.rate, seconds))
    await asyncio.sleep(1.0)
    await running.upstream.set(a={"retry_after": RETRY_AFTER})
    await load
    seen = await levels(running.replicas, "a")
    arrivals = [each for each in await running.upstream.arrivals() if each.account == "a"]
    await running.upstream.set(a={"retry_after": None})
    ended = await asyncio.gather(*streams)
    return [
        *judge(arrivals, scale.grace, seen),
        exactly("requests that failed", sum(r.failed for r in load.result()), 0),
        exactly(f"streams of {scale.streams} that broke", sum(r.failed for r in ended), 0),
        reported("new requests", f"{len(load.result())}, {latency(load.result())}"),
    ]


async def _begin_streams(
    running: Stage, scale: Scale, seconds: float
) -> list[asyncio.Task[Result]]:
    """Begin the streams within a second; they last as long as the load."""
    pause, tasks = (seconds + 1) / _EVENTS, []
    for _ in range(scale.streams):
        ask = running.clients.ask(new_session(), _EVENTS, pause)
        tasks.append(asyncio.create_task(ask))
        await asyncio.sleep(1 / scale.streams)
    return tasks


def judge(arrivals: Sequence[Arrival], grace: float, seen: Sequence[int]) -> list[Figure]:
    """Return the figures of a limited account's requests; `seen` are its levels at the replicas."""
    refused = sorted((a for a in arrivals if a.status == 429), key=lambda a: a.answered)
    if not refused:
        return [at_least("429 of the limited account", 0, 1)]
    windows, in_flight, early, doubled = 1, 0, 0, 0
    began = refused[0].answered
    for each in refused[1:]:
        end = began + RETRY_AFTER * 2 ** (windows - 1)
        if each.sent <= began + grace and each.arrived < end - _EARLY:
            in_flight += windows == 1
            doubled += windows > 1
        elif each.arrived < end - _EARLY:
            early += 1
        else:
            windows, began = windows + 1, each.answered
    return [
        exactly(f"sent over {grace * 1000:.0f} ms after a 429, in its cooldown", early, 0),
        exactly("second probes of a cooldown", doubled, 0),
        at_least("cooldowns", windows, 2),
        Figure(
            "back-off level at the replicas",
            ", ".join(map(str, seen)),
            f"{windows} each: once a cooldown",
            list(seen) == [windows] * len(seen),
        ),
        reported("429 of requests in flight or just sent", str(in_flight)),
    ]
