"""Sums up requests by day, account, model or session, in bounded memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from neurolink_mitm.core.logs.timestamps import local_hour
from neurolink_mitm.records.row_reader import LoggedRequest

_GROWTH = math.log(1.02)
"""Width of a bucket: quantiles are right within 2 %."""
MAX_GROUPS = 5_000
"""Groups at most; requests of further ones are summed up under `REST`."""
REST = "(others)"
NO_KEY = "(none)"


@dataclass(slots=True)
class Quantiles:
    """Quantiles of positive numbers, counted in logarithmic buckets."""

    counts: Counter[int] = field(default_factory=Counter)

    def add(self, value: float) -> None:
        self.counts[math.ceil(math.log(value) / _GROWTH) if value > 0 else -9999] += 1

    def at(self, share: float) -> float | None:
        """Return the value that `share` of the numbers do not exceed; None without numbers."""
        wanted, below = share * self.counts.total(), 0
        for bucket in sorted(self.counts):
            below += self.counts[bucket]
            if below >= wanted:
                return 0.0 if bucket == -9999 else math.exp((bucket - 0.5) * _GROWTH)
        return None


@dataclass(slots=True)
class GroupSums:
    """The sums of the requests of one group. `cost` is in USD."""

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
        """Return the share of input tokens read from the cache."""
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
    """Sums of requests, grouped by one of `BY`."""

    by: str
    groups: dict[str, GroupSums] = field(default_factory=dict)

    def add(self, rows: Iterable[LoggedRequest]) -> None:
        key_of, groups = BY[self.by], self.groups
        part = self.by == "day"  # of a day its hours, of anything else its days
        for row in rows:
            key = key_of(row) or NO_KEY
            group = groups.get(key)
            if group is None:
                key = key if len(groups) < MAX_GROUPS else REST
                group = groups.setdefault(key, GroupSums())
            group.add(row, local_hour(row.timestamp[:16])[part])

    def ordered(self) -> list[tuple[str, GroupSums]]:
        """Return the groups: days in order, others by number of requests, `REST` last."""
        if self.by == "day":
            return sorted(self.groups.items())
        return sorted(
            self.groups.items(), key=lambda item: (item[0] == REST, -item[1].requests, item[0])
        )


FIELDS = (
    "requests", "errors", "cancelled", "failovers", "inputTokens", "outputTokens",
    "cacheCreationTokens", "cacheReadTokens", "cacheHitRate", "costUsd", "unpriced",
    "p50FirstByteMs", "p95FirstByteMs",
)  # fmt: skip


def report(group: GroupSums) -> dict[str, Any]:
    """Return the sums by `FIELDS`; `costUsd` leaves out the requests that `unpriced` counts."""
    values = (
        group.requests, group.errors, group.cancelled, group.failovers, group.input, group.output,
        group.cache_creation, group.cache_read, _rounded(group.hit_rate, 4),
        round(group.cost, 6) if group.priced else None, group.requests - group.priced,
        _rounded(group.first_byte.at(0.5), 1), _rounded(group.first_byte.at(0.95), 1),
    )  # fmt: skip
    return dict(zip(FIELDS, values, strict=True))


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def total(groups: Iterable[GroupSums]) -> GroupSums:
    """Return the sums of all groups."""
    whole = GroupSums()
    for group in groups:
        for name in ("requests", "errors", "cancelled", "failovers", "input", "output",
                     "cache_creation", "cache_read", "cost", "priced"):  # fmt: skip
            setattr(whole, name, getattr(whole, name) + getattr(group, name))
        whole.first_byte.counts.update(group.first_byte.counts)
        whole.over_time.update(group.over_time)
    return whole


_BARS = "▁▂▃▄▅▆▇█"


def sparkline(counts: Mapping[str, int], columns: Iterable[str]) -> str:
    """Return a bar a column; a space for none."""
    most = max(counts.values(), default=0)
    return "".join(_bar(counts.get(column, 0), most) for column in columns)


def _bar(count: int, most: int) -> str:
    return _BARS[math.ceil(count / most * len(_BARS)) - 1] if count else " "


def columns(by: str, groups: Mapping[str, GroupSums]) -> list[str]:
    """Return the columns of sparklines: the hours of a day, or the last thirty days that have requests."""
    if by == "day":
        return [f"{hour:02}" for hour in range(24)]
    return sorted({day for group in groups.values() for day in group.over_time})[-30:]


def flat(by: str, stats: Stats) -> Iterator[dict[str, Any]]:
    """Yield a row for each group."""
    for name, group in stats.ordered():
        yield {by: name, **report(group)}
