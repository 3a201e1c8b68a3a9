"""7. A rolling restart: each replica drains, ends and comes back, and no stream breaks."""

import asyncio
import contextlib
import itertools

from clustertest.figures import Figure, Scale, exactly, reported
from clustertest.load import Result, latency, new_session
from clustertest.replicas import Pool
from clustertest.stage import REPLICAS, Stage, stage

POOL = Pool(logins=dict.fromkeys("abcd", 36_000.0), routing={"strategy": "round-robin"})
_EVENTS = 40


async def run(scale: Scale) -> list[Figure]:
    async with stage(POOL) as running:
        return await act(running, scale)


async def act(running: Stage, scale: Scale, replicas: int = REPLICAS) -> list[Figure]:
    """Restart replicas in turn, under streams of 2 or 6 s that begin all the time, and short requests."""
    over = asyncio.Event()
    pause = 0.05 if scale.short else 0.15
    streams = asyncio.create_task(_until(over, running, 5 if scale.short else 15, pause))
    requests = asyncio.create_task(_until(over, running, scale.rate / 3, 0.0))
    await asyncio.sleep(1.0)
    codes = []
    for replica in running.replicas[:replicas]:
        codes.append(await replica.drain())
        await replica.start()
        await running.until_balanced()
    over.set()
    streamed, short = await streams, await requests
    return [
        exactly(f"streams of {len(streamed)} that broke", sum(r.failed for r in streamed), 0),
        exactly(f"requests of {len(short)} that failed", sum(r.failed for r in short), 0),
        Figure("exit codes", ", ".join(map(str, codes)), "0 each", not any(codes)),
        reported("short requests", str(latency(short))),
        *_why([*streamed, *short]),
    ]


async def _until(over: asyncio.Event, running: Stage, rate: float, pause: float) -> list[Result]:
    """Begin `rate` streams a second until it is over; wait for all."""
    tasks = []
    for _ in itertools.takewhile(lambda _: not over.is_set(), itertools.count()):
        events = _EVENTS if pause else 8
        tasks.append(asyncio.create_task(running.clients.ask(new_session(), events, pause)))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), 1 / rate)
    return list(await asyncio.gather(*tasks))


def _why(results: list[Result]) -> list[Figure]:
    failed = [r for r in results if r.failed]
    return [reported("the first that failed", f"{r.status} {r.detail}"[:150]) for r in failed[:1]]
