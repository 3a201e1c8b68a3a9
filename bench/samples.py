"""The figures of one batch of requests."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.client import Timing
from bench.payloads import Kind

_MS = 1000.0


@dataclass(frozen=True)
class Cell:
    """The kind of response, and the number of clients."""

    kind: Kind
    concurrency: int

    def __str__(self) -> str:
        return f"{self.kind} x {self.concurrency}"


STREAMED = (Cell("streamed", 1), Cell("streamed", 20))
CELLS = (
    *STREAMED,
    *(Cell("coalesced", 1), Cell("coalesced", 20)),
    *(Cell("whole", 1), Cell("whole", 20)),
)


@dataclass(frozen=True)
class Times:
    """Times in milliseconds, and requests a second."""

    first_byte_p50: float
    first_byte_p99: float
    total_p50: float
    total_p99: float
    requests_per_second: float


@dataclass(frozen=True)
class Cost:
    """The proxy's CPU time per request, and its highest resident memory."""

    cpu_ms: float
    peak_rss_mb: float


@dataclass(frozen=True)
class Sample:
    """The figures of one batch; without a proxy, no cost."""

    times: Times
    cost: Cost | None


@dataclass(frozen=True)
class Measured:
    turn: int
    row: str
    cell: Cell
    sample: Sample


def times_of(timings: Sequence[Timing], wall: float) -> Times:
    """Return the times of a batch that took `wall` seconds."""
    first = [timing.first_byte * _MS for timing in timings]
    total = [timing.total * _MS for timing in timings]
    return Times(
        first_byte_p50=percentile(first, 50),
        first_byte_p99=percentile(first, 99),
        total_p50=percentile(total, 50),
        total_p99=percentile(total, 99),
        requests_per_second=len(timings) / wall,
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the nearest-rank percentile: the smallest value that `percent` % of all don't exceed."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(rank, 1) - 1]
