"""One batch on each row, in slices by turns.

A shared machine can be half as fast from one second to the next. So the rows of a batch advance
together, a fraction of a second each, and only what was measured together is compared.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from bench.client import AnswerError, Connection, Timing, connections, run_requests
from bench.processes import Server
from bench.samples import Cell, Cost, Measured, Sample, times_of
from bench.usage import Peak, cpu_seconds, watch_peak

_SLICE_SECONDS = 30.0
# Requests in a slice: enough on each connection that its start and end weigh little.
_SLICE_LEAST = 20
_SLICE_PER_CLIENT = 2
# What a proxy does after it has answered (log lines, say) belongs to the request too.
_SETTLE_SECONDS = 0.2


class MeasureError(Exception):
    """A batch could not be finished; the message is one line that says which and why."""


class Lane:
    """One row within one batch: its open connections and what it has yielded so far."""

    def __init__(self, server: Server, cell: Cell, opened: list[Connection]) -> None:
        self.server = server
        self.timings: list[Timing] = []
        self._cell = cell
        self._opened = opened
        self._wall = 0.0
        self._cpu_before = 0.0
        self._peak: Peak | None = None

    async def warm(self) -> None:
        """One request on each connection, so that its upstream connection exists."""
        await self._run(len(self._opened))

    async def watch(self, stack: AsyncExitStack) -> None:
        """From here on the process's cost counts."""
        if self.server.pid:
            self._peak = await stack.enter_async_context(watch_peak(self.server.pid))
            self._cpu_before = cpu_seconds(self.server.pid)

    async def advance(self, requests: int) -> None:
        timings, wall = await self._run(requests)
        self.timings += timings
        self._wall += wall

    def sample(self) -> Sample:
        """Only after `watch`'s stack is closed: that is when the peak is known."""
        times = times_of(self.timings, self._wall)
        if not (self.server.pid and self._peak):
            return Sample(times, None)
        cpu = (cpu_seconds(self.server.pid) - self._cpu_before) / len(self.timings)
        return Sample(times, Cost(cpu * 1000, self._peak.mb))

    async def _run(self, requests: int) -> tuple[list[Timing], float]:
        try:
            async with asyncio.timeout(_SLICE_SECONDS):
                return await run_requests(self.server, self._cell.kind, requests, self._opened)
        except TimeoutError:
            reason = f"not finished in {_SLICE_SECONDS:.0f} s"
        except (AnswerError, OSError) as error:
            reason = str(error)
        where = f"{self.server.name}, {self._cell.kind}, concurrency {self._cell.concurrency}"
        raise MeasureError(f"{where}: {reason}")


async def play_round(
    servers: Sequence[Server], cells: Sequence[Cell], requests: int, turn: int
) -> list[Measured]:
    """Measure each cell on each row once. `turn` is the number of the round."""
    measured = []
    for cell in cells:
        samples = await measure(servers, cell, requests)
        measured += [
            Measured(turn, server.name, cell, sample)
            for server, sample in zip(servers, samples, strict=True)
        ]
    return measured


async def measure(servers: Sequence[Server], cell: Cell, requests: int) -> list[Sample]:
    """Send `requests` to each of the servers."""
    async with AsyncExitStack() as stack:
        lanes = [
            Lane(server, cell, await stack.enter_async_context(_connections(server, cell)))
            for server in servers
        ]
        for lane in lanes:
            await lane.warm()
        await asyncio.sleep(_SETTLE_SECONDS)
        async with AsyncExitStack() as watches:
            for lane in lanes:
                await lane.watch(watches)
            await _advance_by_turns(lanes, cell, requests)
            await asyncio.sleep(_SETTLE_SECONDS)
        return [lane.sample() for lane in lanes]


async def _advance_by_turns(lanes: list[Lane], cell: Cell, requests: int) -> None:
    size = max(_SLICE_LEAST, _SLICE_PER_CLIENT * cell.concurrency)
    for number, done in enumerate(range(0, requests, size)):
        first = number % len(lanes)
        for lane in lanes[first:] + lanes[:first]:
            await lane.advance(min(size, requests - done))


@asynccontextmanager
async def _connections(server: Server, cell: Cell) -> AsyncIterator[list[Connection]]:
    try:
        async with connections(server, cell.concurrency) as opened:
            yield opened
    except OSError as error:
        raise MeasureError(f"{server.name}: {error}") from error
