"""Many slow streams at once: their completeness, their pace, their memory, and the memory after them."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench import processes
from bench.certificates import Certificates
from bench.client import AnswerError, Connection, Timing, connections
from bench.measure import MeasureError, measure
from bench.payloads import Pace, answer, request, session_id
from bench.plan import Crowd, Plan
from bench.processes import Server
from bench.rows import Start
from bench.samples import Cell, percentile
from bench.usage import cpu_seconds, helpers_rss_mb, rss_mb, watch_peak

_STREAMS_SECONDS = 60.0
_ORDINARY = Cell("streamed", 20)


@dataclass(frozen=True)
class SlowRun:
    """The figures of a row. Memory in MB: before the streams, the highest during them, after them and
    `later_requests` ordinary requests, and after as many again. `faults` counts lost streams by fault.

    `gap_p99_ms` is of the time between two arrivals of bytes at a client. `cpu_ms` is the CPU time of one
    stream with its connection. Here each event wakes the proxy; in the rounds it reads several at once.
    """

    row: str
    tls: bool
    streams: int
    complete: int
    faults: dict[str, int]
    seconds: float
    first_byte_p50_ms: float
    gap_p99_ms: float
    cpu_ms: float
    rss_before_mb: float
    rss_peak_mb: float
    rss_after_mb: float
    rss_later_mb: float
    later_requests: int
    helpers_rss_mb: float


def hold_streams(start: Start, plan: Plan, certificates: Certificates | None) -> SlowRun:
    """Start a proxy, and run the streams through it; with `certificates` upstream speaks TLS."""
    with processes.upstream(certificates) as target, start(target) as server:
        return asyncio.run(_run(server, plan, tls=certificates is not None))


async def _run(server: Server, plan: Plan, *, tls: bool) -> SlowRun:
    assert server.pid is not None
    streams = plan.crowd.streams
    await measure([server], _ORDINARY, plan.warm_up)
    before, cpu_before = rss_mb(server.pid), cpu_seconds(server.pid)
    started = time.perf_counter()
    async with watch_peak(server.pid) as peak:
        ends, gaps = await stream_all(server, plan.crowd)
    seconds = time.perf_counter() - started
    cpu = cpu_seconds(server.pid) - cpu_before
    await measure([server], _ORDINARY, plan.later_requests)
    after = rss_mb(server.pid)
    await measure([server], _ORDINARY, plan.later_requests)
    first = [end.first_byte * 1000 for end in ends if isinstance(end, Timing)]
    return SlowRun(
        row=server.name,
        tls=tls,
        streams=streams,
        complete=len(first),
        faults=dict(Counter(end for end in ends if isinstance(end, str))),
        seconds=seconds,
        first_byte_p50_ms=percentile(first, 50) if first else 0.0,
        gap_p99_ms=percentile(gaps, 99) * 1000 if gaps else 0.0,
        cpu_ms=cpu * 1000 / streams,
        rss_before_mb=before,
        rss_peak_mb=peak.mb,
        rss_after_mb=after,
        rss_later_mb=rss_mb(server.pid),
        later_requests=plan.later_requests,
        helpers_rss_mb=helpers_rss_mb(server.pid),
    )


async def stream_all(server: Server, crowd: Crowd) -> tuple[list[Timing | str], list[float]]:
    """Return the times of each stream, or its fault, and the seconds between arrivals."""
    first, *others = map(session_id, range(crowd.streams))
    message = request(server.port, "streamed", crowd.pace, first)
    messages = [message, *(message.replace(first.encode(), each.encode()) for each in others)]
    try:
        async with connections(server, crowd.streams) as opened:
            streams = [
                _stream(*each, crowd.pace, crowd.ramp * number / crowd.streams)
                for number, each in enumerate(zip(opened, messages, strict=True))
            ]
            return await asyncio.gather(*streams), _gaps(opened)
    except OSError as error:
        raise MeasureError(f"{crowd.streams} slow streams: {error}") from error


def _gaps(opened: Sequence[Connection]) -> list[float]:
    return [later - earlier for each in opened for earlier, later in pairwise(each.arrivals)]


async def _stream(connection: Connection, message: bytes, pace: Pace, delay: float) -> Timing | str:
    """Return the stream's times, or its fault."""
    await asyncio.sleep(delay)
    try:
        async with asyncio.timeout(_STREAMS_SECONDS):
            return await connection.exchange(message, answer("streamed", pace))
    except TimeoutError:
        return f"not finished in {_STREAMS_SECONDS:.0f} s"
    except AnswerError as error:
        return str(error)
