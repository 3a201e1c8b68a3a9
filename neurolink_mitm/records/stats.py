"""Sums up requests by one of `BY`, and the times of their attempts, in bounded memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from neurolink_mitm.core.logs.timestamps import local_hour
from neurolink_mitm.records.row_reader import LoggedAttempt, LoggedRequest

_GROWTH = math.log(1.02)
"""Width of a bucket: quantiles are right within 2 %."""
MAX_GROUPS = 5_000
"""Groups at most; requests of further ones are summed up under `REST`."""
REST = "(others)"
NO_KEY = "(none)"
DEEPEST = 20
"""Agents that one line of starting each other is followed for."""


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
class AttemptTimes:
    """How soon attempts were connected and answered."""

    answered: int = 0
    """Attempts of which a first byte came."""
    reused: int = 0
    """Those of them that had a reused connection."""
    connect: Quantiles = field(default_factory=Quantiles)
    """Of new connections; so is `tls`, of those with TLS."""
    tls: Quantiles = field(default_factory=Quantiles)
    wait: Quantiles = field(default_factory=Quantiles)

    def add(self, row: LoggedAttempt) -> None:
        if row.connectMs:
            self.connect.add(row.connectMs)
        if row.tlsMs:
            self.tls.add(row.tlsMs)
        if row.waitMs is not None:
            self.wait.add(row.waitMs)
            self.answered += 1
            self.reused += bool(row.reused)

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
    moved: int = 0
    """Tokens written to a prompt cache again, since sessions moved."""
    cost: float = 0.0
    priced: int = 0
    """Requests whose cost is known."""
    first_byte: Quantiles = field(default_factory=Quantiles)
    over_time: Counter[str] = field(default_factory=Counter)
    """Requests by hour where a group is a day, else by day."""
    times: AttemptTimes = field(default_factory=AttemptTimes)

    def add(self, row: LoggedRequest, when: str) -> None:
        self.requests += 1
        self.errors += row.failed
        self.cancelled += row.outcome == "client_cancelled"
        self.failovers += max(0, row.attempts - 1)
        self.input += row.inputTokens or 0
        self.output += row.outputTokens or 0
        self.cache_creation += row.cacheCreationTokens or 0
        self.cache_read += row.cacheReadTokens or 0
        self.moved += row.movedCacheTokens or 0
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


def main_agent(row: LoggedRequest) -> str | None:
    """Return the name of the agent that the user talks to; it has no id of its own."""
    return f"main of {row.sessionId}" if row.sessionId else None


BY: Mapping[str, Callable[[LoggedRequest], str | None]] = {
    "day": lambda row: local_hour(row.timestamp[:16])[0],
    "account": lambda row: row.account,
    "model": lambda row: row.actualModel or row.model,
    "session": lambda row: row.sessionId,
    "api": lambda row: row.api,
    "client": lambda row: row.client,
    "agent": lambda row: row.agentId or main_agent(row),
    "user": lambda row: row.userId,
    "conversation": lambda row: row.conversationId,
}
_ATTEMPTS_BY: Mapping[str, Callable[[LoggedAttempt], str | None]] = {
    "day": lambda row: local_hour(row.timestamp[:16])[0],
    "account": lambda row: row.account,
}
"""Rows of attempts do not name what a request asked for, nor who: of models, sessions and clients the times are not
known."""


@dataclass(slots=True)
class Stats:
    """Sums of requests, grouped by one of `BY`."""

    by: str
    groups: dict[str, GroupSums] = field(default_factory=dict)
    times: AttemptTimes = field(default_factory=AttemptTimes)
    """Of all attempts, those without a group included."""
    parents: dict[str, str] = field(default_factory=dict)
    """By agent: the one that has started it."""

    def add(self, rows: Iterable[LoggedRequest]) -> None:
        key_of, groups = BY[self.by], self.groups
        part = self.by == "day"  # of a day its hours, of anything else its days
        for row in rows:
            key = key_of(row) or NO_KEY
            group = groups.get(key)
            if group is None:
                key = key if len(groups) < MAX_GROUPS else REST
                group = groups.setdefault(key, GroupSums())
            if row.agentId and self.by == "agent" and key not in self.parents:
                parent = row.parentAgentId or main_agent(row)
                if parent and parent != key and key != REST:
                    self.parents[key] = parent
            group.add(row, local_hour(row.timestamp[:16])[part])

    def add_attempts(self, rows: Iterable[LoggedAttempt]) -> None:
        """Add the times of attempts, also to the groups that there are when the requests have been added."""
        key_of = _ATTEMPTS_BY.get(self.by)
        for row in rows:
            self.times.add(row)
            group = self.groups.get(key_of(row) or NO_KEY) if key_of else None
            if group:
                group.times.add(row)

    def total(self) -> GroupSums:
        """Return the sums of all groups, with the times of all attempts."""
        whole = _total(self.groups.values())
        whole.times = self.times
        return whole

    def trees(self) -> dict[str, GroupSums]:
        """Return, by agent, the sums of it and of all agents that it has started, directly or not."""
        members: dict[str, list[GroupSums]] = {name: [] for name in self.groups}
        for name, group in self.groups.items():
            for ancestor in self.line(name):
                if ancestor in members:
                    members[ancestor].append(group)
        return {name: _total(groups) for name, groups in members.items()}

    def line(self, name: str) -> list[str]:
        """Return an agent, the one that has started it, and so on; clients may claim circles."""
        line = [name]
        while (name := self.parents.get(name, "")) and name not in line and len(line) < DEEPEST:
            line.append(name)
        return line

    def ordered(self) -> list[tuple[str, GroupSums]]:
        """Return the groups: days in order, agents behind who started them, others by requests, `REST` last."""
        if self.by == "day":
            return sorted(self.groups.items())
        if self.parents:
            return self._ordered_agents()
        return sorted(
            self.groups.items(), key=lambda item: (item[0] == REST, -item[1].requests, item[0])
        )

    def _ordered_agents(self) -> list[tuple[str, GroupSums]]:
        lines = {name: self.line(name)[::-1] for name in self.groups}
        first = {name: number for number, name in enumerate(self.groups)}
        order = sorted(
            lines, key=lambda name: (name == REST, [first.get(each, -1) for each in lines[name]])
        )
        return [(name, self.groups[name]) for name in order]


FIELDS = (
    "requests", "errors", "cancelled", "failovers", "inputTokens", "outputTokens",
    "cacheCreationTokens", "cacheReadTokens", "cacheHitRate", "movedCacheTokens", "costUsd", "unpriced",
    "p50FirstByteMs", "p95FirstByteMs", "reusedShare",
    "p50ConnectMs", "p95ConnectMs", "p50TlsMs", "p95TlsMs", "p50WaitMs", "p95WaitMs",
)  # fmt: skip


def report(group: GroupSums) -> dict[str, Any]:
    """Return the sums by `FIELDS`; `costUsd` leaves out the requests that `unpriced` counts.

    The times of connecting and TLS are those of new connections.
    """
    values = (
        group.requests, group.errors, group.cancelled, group.failovers, group.input, group.output,
        group.cache_creation, group.cache_read, _rounded(group.hit_rate, 4), group.moved,
        round(group.cost, 6) if group.priced else None, group.requests - group.priced,
        _rounded(group.first_byte.at(0.5), 1), _rounded(group.first_byte.at(0.95), 1),
        _rounded(group.times.reused_share, 4),
        *(_rounded(ms, 1) for ms in group.times.quantiles()),
    )  # fmt: skip
    return dict(zip(FIELDS, values, strict=True))


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _total(groups: Iterable[GroupSums]) -> GroupSums:
    whole = GroupSums()
    for group in groups:
        for name in ("requests", "errors", "cancelled", "failovers", "input", "output",
                     "cache_creation", "cache_read", "moved", "cost", "priced"):  # fmt: skip
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


TREE_FIELDS = (
    "parent", "treeRequests", "treeInputTokens", "treeOutputTokens", "treeCacheCreationTokens", "treeCacheReadTokens",
    "treeCostUsd",
)  # fmt: skip
"""What the row of an agent has besides: who started it, and the sums with all agents that it started."""


def fields_of(by: str) -> tuple[str, ...]:
    """Return the names of what a row has beside its group."""
    return (*FIELDS, *TREE_FIELDS) if by == "agent" else FIELDS


def flat(by: str, stats: Stats) -> Iterator[dict[str, Any]]:
    """Yield a row for each group."""
    trees = stats.trees() if by == "agent" else {}
    for name, group in stats.ordered():
        yield {by: name, **report(group), **_tree(stats.parents.get(name), trees.get(name))}


def _tree(parent: str | None, tree: GroupSums | None) -> dict[str, Any]:
    if tree is None:
        return {}
    values = (
        parent, tree.requests, tree.input, tree.output, tree.cache_creation, tree.cache_read,
        round(tree.cost, 6) if tree.priced else None,
    )  # fmt: skip
    return dict(zip(TREE_FIELDS, values, strict=True))
