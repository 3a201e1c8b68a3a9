"""Sums up requests, however many, in little memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from neurolink_mitm.core.logs.timestamps import local_hour
from neurolink_mitm.records.row_reader import LoggedRequest

_GROWTH = math.log(1.02)
"""A quantile is told to one part in fifty."""
MOST = 5_000
"""Groups that are told apart; what comes later is summed up in one."""
OTHERS = "(others)"
NOBODY = "(none)"


@dataclass(slots=True)
class Quantiles:
    """Of positive numbers, counted by magnitude: as small for a million of them as for a hundred."""

    counts: Counter[int] = field(default_factory=Counter)

    def add(self, value: float) -> None:
        self.counts[math.ceil(math.log(value) / _GROWTH) if value > 0 else -9999] += 1

    def at(self, share: float) -> float | None:
        """The value that this share of all lies at or below; None of none."""
        wanted, seen = share * self.counts.total(), 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                return 0.0 if bucket == -9999 else math.exp((bucket - 0.5) * _GROWTH)
        return None


@dataclass(slots=True)
class Sum:
    """Of the requests of one group."""

    requests: int = 0
    errors: int = 0
    cancelled: int = 0
    failovers: int = 0
    input: int = 0
    output: int = 0
    cache_creation: int = 0
    cache_read: int = 0
    cost: float = 0.0
    priced: int = 0
    """Requests whose cost is known."""
    first_byte: Quantiles = field(default_factory=Quantiles)
    over_time: Counter[str] = field(default_factory=Counter)
    """Requests by hour where a group is a day, else by day."""

    def add(self, row: LoggedRequest, when: str) -> None:
        self.requests += 1
        self.errors += row.failed
        self.cancelled += row.outcome == "client_cancelled"
        self.failovers += max(0, row.attempts - 1)
        self.input += row.inputTokens or 0
        self.output += row.outputTokens or 0
        self.cache_creation += row.cacheCreationTokens or 0
        self.cache_read += row.cacheReadTokens or 0
        if row.costUsd is not None:
            self.cost += row.costUsd
            self.priced += 1
        if row.ttfbMs is not None:
            self.first_byte.add(row.ttfbMs)
        self.over_time[when] += 1

    @property
    def hit_rate(self) -> float | None:
        """The share of the prompts that came from the cache."""
        prompts = self.input + self.cache_creation + self.cache_read
        return self.cache_read / prompts if prompts else None


BY: Mapping[str, Callable[[LoggedRequest], str | None]] = {
    "day": lambda row: local_hour(row.timestamp[:16])[0],
    "account": lambda row: row.account,
    "model": lambda row: row.actualModel or row.model,
    "session": lambda row: row.sessionId,
}


@dataclass(slots=True)
class Stats:
    by: str
    groups: dict[str, Sum] = field(default_factory=dict)

    def add(self, rows: Iterable[LoggedRequest]) -> None:
        key_of, groups = BY[self.by], self.groups
        part = self.by == "day"  # of a day its hours, of anything else its days
        for row in rows:
            key = key_of(row) or NOBODY
            group = groups.get(key)
            if group is None:
                key = key if len(groups) < MOST else OTHERS
                group = groups.setdefault(key, Sum())
            group.add(row, local_hour(row.timestamp[:16])[part])

    def ordered(self) -> list[tuple[str, Sum]]:
        """Days in their order, anything else by how much it was used; what was not told apart comes last."""
        if self.by == "day":
            return sorted(self.groups.items())
        return sorted(
            self.groups.items(), key=lambda item: (item[0] == OTHERS, -item[1].requests, item[0])
        )


FIELDS = (
    "requests", "errors", "cancelled", "failovers", "inputTokens", "outputTokens",
    "cacheCreationTokens", "cacheReadTokens", "cacheHitRate", "costUsd", "unpriced",
    "p50FirstByteMs", "p95FirstByteMs",
)  # fmt: skip


def report(one: Sum) -> dict[str, Any]:
    """`costUsd` is null where none is known; `unpriced` counts the requests that it leaves out."""
    values = (
        one.requests, one.errors, one.cancelled, one.failovers, one.input, one.output,
        one.cache_creation, one.cache_read, _rounded(one.hit_rate, 4),
        round(one.cost, 6) if one.priced else None, one.requests - one.priced,
        _rounded(one.first_byte.at(0.5), 1), _rounded(one.first_byte.at(0.95), 1),
    )  # fmt: skip
    return dict(zip(FIELDS, values, strict=True))


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def total(sums: Iterable[Sum]) -> Sum:
    """Of all groups."""
    whole = Sum()
    for one in sums:
        for name in ("requests", "errors", "cancelled", "failovers", "input", "output",
                     "cache_creation", "cache_read", "cost", "priced"):  # fmt: skip
            setattr(whole, name, getattr(whole, name) + getattr(one, name))
        whole.first_byte.counts.update(one.first_byte.counts)
        whole.over_time.update(one.over_time)
    return whole


_BARS = "▁▂▃▄▅▆▇█"


def sparkline(counts: Mapping[str, int], columns: Iterable[str]) -> str:
    """One character a column, a space where there was nothing."""
    most = max(counts.values(), default=0)
    return "".join(_bar(counts.get(column, 0), most) for column in columns)


def _bar(count: int, most: int) -> str:
    return _BARS[math.ceil(count / most * len(_BARS)) - 1] if count else " "


def columns(by: str, groups: Mapping[str, Sum]) -> list[str]:
    """Of the sparklines: the hours of a day, or the days there were, the last thirty at most."""
    if by == "day":
        return [f"{hour:02}" for hour in range(24)]
    return sorted({day for one in groups.values() for day in one.over_time})[-30:]


def flat(by: str, stats: Stats) -> Iterator[dict[str, Any]]:
    """A row for each group."""
    for name, one in stats.ordered():
        yield {by: name, **report(one)}
