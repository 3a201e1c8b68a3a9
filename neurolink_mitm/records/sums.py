"""Sums of requests and of the times of their attempts, in bounded memory; they can be merged."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from neurolink_mitm.records.row_reader import LoggedAttempt, LoggedRequest

_GROWTH = math.log(1.02)
"""Width of a bucket: quantiles are right within 2 %."""

LARGEST = 10**12
"""Of a number in a row; larger ones count as much."""

_ZERO = -99_999
"""The bucket of 0."""


class Quantiles(msgspec.Struct, array_like=True):
    """Quantiles of positive numbers, counted in logarithmic buckets."""

    counts: dict[int, int] = {}

    def add(self, value: float) -> None:
        bucket = math.ceil(math.log(value) / _GROWTH) if value > 0 else _ZERO
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def merge(self, other: Quantiles) -> None:
        """Add the numbers of `other`."""
        counts, count_of = self.counts, self.counts.get
        for bucket, count in other.counts.items():
            counts[bucket] = count_of(bucket, 0) + count

    def at(self, share: float) -> float | None:
        """Return the value that `share` of the numbers do not exceed; None without numbers."""
        wanted, below = share * sum(self.counts.values()), 0
        for bucket in sorted(self.counts):
            below += self.counts[bucket]
            if below >= wanted:
                return 0.0 if bucket == _ZERO else math.exp((bucket - 0.5) * _GROWTH)
        return None


class AttemptTimes(msgspec.Struct, array_like=True):
    """How soon attempts were connected and answered."""

    answered: int = 0
    """Attempts of which a first byte came."""
    reused: int = 0
    """Those of them that had a reused connection."""
    connect: Quantiles = msgspec.field(default_factory=Quantiles)
    """Of new connections; so is `tls`, of those with TLS."""
    tls: Quantiles = msgspec.field(default_factory=Quantiles)
    wait: Quantiles = msgspec.field(default_factory=Quantiles)

    def add(self, row: LoggedAttempt) -> None:
        if row.connectMs:
            self.connect.add(row.connectMs)
        if row.tlsMs:
            self.tls.add(row.tlsMs)
        if row.waitMs is not None:
            self.wait.add(row.waitMs)
            self.answered += 1
            self.reused += bool(row.reused)

    def merge(self, other: AttemptTimes) -> None:
        """Add the attempts of `other`."""
        self.answered += other.answered
        self.reused += other.reused
        self.connect.merge(other.connect)
        self.tls.merge(other.tls)
        self.wait.merge(other.wait)

    @property
    def empty(self) -> bool:
        return not (self.connect.counts or self.answered)

    @property
    def reused_share(self) -> float | None:
        return self.reused / self.answered if self.answered else None

    def quantiles(self) -> Iterator[float | None]:
        """Yield p50 and p95 of connecting, of TLS and of the wait, in milliseconds."""
        for each in (self.connect, self.tls, self.wait):
            yield from (each.at(share) for share in (0.5, 0.95))


class Numbers(msgspec.Struct, array_like=True):
    """Numbers of requests. `cost` is in USD."""

    requests: int = 0
    errors: int = 0
    cancelled: int = 0
    failovers: int = 0
    input: int = 0
    output: int = 0
    cache_creation: int = 0
    cache_read: int = 0
    moved: int = 0
    """Tokens written to a prompt cache again, since sessions moved."""
    cost: float = 0.0
    priced: int = 0
    """Requests whose cost is known."""

    def add(self, row: LoggedRequest) -> None:
        self.requests += 1
        self.errors += row.failed
        self.cancelled += row.outcome == "client_cancelled"
        self.failovers += _limited(row.attempts - 1)
        self.input += _limited(row.inputTokens or 0)
        self.output += _limited(row.outputTokens or 0)
        self.cache_creation += _limited(row.cacheCreationTokens or 0)
        self.cache_read += _limited(row.cacheReadTokens or 0)
        self.moved += _limited(row.movedCacheTokens or 0)
        if row.costUsd is not None:
            self.cost += min(max(row.costUsd, 0.0), LARGEST)
            self.priced += 1

    def merge(self, other: Numbers) -> None:
        """Add the requests of `other`."""
        self.requests += other.requests
        self.errors += other.errors
        self.cancelled += other.cancelled
        self.failovers += other.failovers
        self.input += other.input
        self.output += other.output
        self.cache_creation += other.cache_creation
        self.cache_read += other.cache_read
        self.moved += other.moved
        self.cost += other.cost
        self.priced += other.priced

    @property
    def hit_rate(self) -> float | None:
        """Return the share of input tokens read from the cache."""
        prompts = self.input + self.cache_creation + self.cache_read
        return self.cache_read / prompts if prompts else None


class Sums(Numbers):
    """Numbers of requests, and how soon the first byte came. What reads them as `Numbers` skips that."""

    first_byte: Quantiles = msgspec.field(default_factory=Quantiles)

    def add_request(self, row: LoggedRequest) -> None:
        self.add(row)
        if row.ttfbMs is not None:
            self.first_byte.add(row.ttfbMs)

    def merge_sums(self, other: Sums) -> None:
        self.merge(other)
        self.first_byte.merge(other.first_byte)


def _limited(value: int) -> int:
    """Return a number of a row, which may hold any, so that sums of many stay numbers of 64 bits."""
    return min(max(value, 0), LARGEST)
