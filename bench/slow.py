"""Many slow streams at once: their completeness, their memory, and the memory after them."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass

from bench.client import AnswerError, Connection, Timing, connections
from bench.measure import MeasureError, measure
from bench.payloads import Pace, answer, request, session_id
from bench.processes import Server
from bench.samples import Cell, percentile
from bench.usage import cpu_seconds, helpers_rss_mb, rss_mb, watch_peak

_STREAMS_SECONDS = 60.0
_LATER = Cell("streamed", 20)


@dataclass(frozen=True)
class SlowRun:
    """The figures of a row. Memory in MB: before the streams, the highest during them, after them and
    `later_requests` ordinary requests, and after as many again. `faults` counts lost streams by fault.

    `cpu_ms` is the CPU time of one stream with its connection. Here each event wakes the proxy; in the
    rounds it reads several at once.
    """

    row: str
    streams: int
    complete: int
    faults: dict[str, int]
    seconds: float
    first_byte_p50_ms: float
    cpu_ms: float
    rss_before_mb: float
    rss_peak_mb: float
    rss_after_mb: float
    rss_later_mb: float
    later_requests: int
    helpers_rss_mb: float


async def hold_streams(server: Server, streams: int, pace: Pace, later_requests: int) -> SlowRun:
    """Run the streams on a server with a `pid`."""
    assert server.pid is not None
    before, cpu_before = rss_mb(server.pid), cpu_seconds(server.pid)
    started = time.perf_counter()
    async with watch_peak(server.pid) as peak:
        ends = await _stream_all(server.port, streams, pace)
    seconds = time.perf_counter() - started
    cpu = cpu_seconds(server.pid) - cpu_before
    await measure([server], _LATER, later_requests)
    after = rss_mb(server.pid)
    await measure([server], _LATER, later_requests)
    first = [end.first_byte * 1000 for end in ends if isinstance(end, Timing)]
    return SlowRun(
        row=server.name,
        streams=streams,
        complete=len(first),
        faults=dict(Counter(end for end in ends if isinstance(end, str))),
        seconds=seconds,
        first_byte_p50_ms=percentile(first, 50) if first else 0.0,
        cpu_ms=cpu * 1000 / streams,
        rss_before_mb=before,
        rss_peak_mb=peak.mb,
        rss_after_mb=after,
        rss_later_mb=rss_mb(server.pid),
        later_requests=later_requests,
        helpers_rss_mb=helpers_rss_mb(server.pid),
    )


async def _stream_all(port: int, streams: int, pace: Pace) -> list[Timing | str]:
    messages = [request(port, "streamed", pace, session_id(n)) for n in range(streams)]
    try:
        async with connections(port, streams) as opened:
            return await asyncio.gather(
                *(_stream(*pair, pace) for pair in zip(opened, messages, strict=True))
            )
    except OSError as error:
        raise MeasureError(f"{streams} slow streams: {error}") from error


async def _stream(connection: Connection, message: bytes, pace: Pace) -> Timing | str:
    """Return the stream's times, or its fault."""
    try:
        async with asyncio.timeout(_STREAMS_SECONDS):
            return await connection.exchange(message, answer("streamed", pace))
    except TimeoutError:
        return f"not finished in {_STREAMS_SECONDS:.0f} s"
    except AnswerError as error:
        return str(error)
