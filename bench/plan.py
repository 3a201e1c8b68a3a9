"""The size of a run, and its steps."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from bench.measure import measure, play_round
from bench.payloads import Pace
from bench.processes import Server
from bench.samples import CELLS, Measured
from bench.slow import SlowRun, hold_streams


@dataclass(frozen=True)
class Plan:
    """The size of a run: `requests` in a batch, `later_requests` twice after the slow streams.

    After the first, a round begins only if it probably ends within `seconds`.
    """

    rounds: int
    requests: int
    warm_up: int
    seconds: float
    streams: int
    pace: Pace
    later_requests: int


FULL = Plan(12, 200, 100, 150.0, 200, Pace(20, 250), 400)
QUICK = Plan(2, 60, 20, 12.0, 200, Pace(20, 100), 100)


async def play(
    plan: Plan, servers: Sequence[Server], step: Callable[[], None], slow_rows: Collection[str]
) -> tuple[list[Measured], list[SlowRun]]:
    """Warm up, play the rounds, then hold the slow streams on each proxy of `slow_rows`."""
    for cell in CELLS:
        await measure(servers, cell, plan.warm_up)
    measured = await _play_rounds(plan, servers, step)
    proxies = [server for server in servers if server.pid and server.name in slow_rows]
    slow = [
        await hold_streams(proxy, plan.streams, plan.pace, plan.later_requests) for proxy in proxies
    ]
    return measured, slow


async def _play_rounds(
    plan: Plan, servers: Sequence[Server], step: Callable[[], None]
) -> list[Measured]:
    started = time.monotonic()
    measured: list[Measured] = []
    for turn in range(plan.rounds):
        measured += await play_round(servers, plan.requests, turn)
        step()
        used = time.monotonic() - started
        if used + used / (turn + 1) > plan.seconds:
            break
    return measured
