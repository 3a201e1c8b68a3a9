"""Sums up requests by one of `BY`, and the times of their attempts, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from neurolink_mitm.core.logs.timestamps import local_hour
from neurolink_mitm.records.row_reader import LoggedAttempt, LoggedRequest
from neurolink_mitm.records.slots import minute_of
from neurolink_mitm.records.sums import AttemptTimes, Sums

MAX_GROUPS = 5_000
"""Groups at most; requests of further ones are summed up under `REST`."""
REST = "(others)"
NO_KEY = "(none)"
LONGEST_KEY = 200
"""Characters of the name of a group; it is cut beyond."""
DEEPEST = 20
"""Agents that one line of starting each other is followed for."""


Groups = dict[str, dict[int, Sums]]
"""Sums by group and slot."""
Times = dict[str, dict[int, AttemptTimes]]
"""Of attempts, by account and slot."""


WHOLE = "all"
"""The section of sums without groups, for statistics by day."""


def section_of(by: str) -> str:
    """Return the section of a day's sums that has the groups of one of `BY`."""
    return WHOLE if by == "day" else by


class DaySums(Protocol):
    """The sums of a day."""

    @property
    def parents(self) -> Mapping[str, str]:
        """By agent: the one that has started it."""

    def groups(self, section: str) -> Groups: ...


class GroupSums(Sums):
    """The sums of one group, how its requests are spread, and the times of its attempts."""

    over_time: dict[str, int] = msgspec.field(default_factory=dict)
    """Requests by hour where a group is a day, else by day."""
    times: AttemptTimes = msgspec.field(default_factory=AttemptTimes)

    def count(self, when: str, requests: int = 1) -> None:
        self.over_time[when] = self.over_time.get(when, 0) + requests


def main_agent(row: LoggedRequest) -> str | None:
    """Return the name of the agent that the user talks to; it has no id of its own."""
    return f"main of {row.sessionId}" if row.sessionId else None


def outcome(row: LoggedRequest) -> str:
    """Return how a request ended, with the status if that was an error: `error 429`."""
    return f"{row.outcome} {row.responseStatus or ''}".strip() if row.failed else row.outcome


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
    "provider": lambda row: row.provider,
    "outcome": outcome,
}


def key_of(by: str, row: LoggedRequest) -> str:
    """Return the group of a request; a row may hold a name of any length."""
    return (BY[by](row) or NO_KEY)[:LONGEST_KEY]


def parent_of(row: LoggedRequest) -> str | None:
    """Return the agent that has started the one of a request."""
    parent = (row.parentAgentId or main_agent(row)) if row.agentId else None
    return parent and parent[:LONGEST_KEY]


def attempts_key(account: str | None) -> str:
    """Return the account that attempts are counted under."""
    return (account or NO_KEY)[:LONGEST_KEY]


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
        for row in rows:
            day, hour = local_hour(row.timestamp[:16])
            key, group = self._group(key_of(self.by, row))
            group.add_request(row)
            group.count(hour if self.by == "day" else day)
            if self.by == "agent" and (parent := parent_of(row)):
                self._adopt(key, parent)

    def merge(self, rollup: DaySums, wanted: Container[int]) -> None:
        """Add the sums of the `wanted` slots, as `add` would add their rows."""
        for key, cells in rollup.groups(section_of(self.by)).items():
            for slot, sums in cells.items():
                if slot in wanted:
                    self._merge(key, minute_of(slot), sums, rollup.parents.get(key))

    def _merge(self, key: str, minute: str, sums: Sums, parent: str | None) -> None:
        day, hour = local_hour(minute)
        key, group = self._group(day if self.by == "day" else key)
        group.merge_sums(sums)
        group.count(hour if self.by == "day" else day, sums.requests)
        if parent and self.by == "agent":
            self._adopt(key, parent)

    def _group(self, key: str) -> tuple[str, GroupSums]:
        group = self.groups.get(key)
        if group is None:
            key = key if len(self.groups) < MAX_GROUPS else REST
            group = self.groups.setdefault(key, GroupSums())
        return key, group

    def _adopt(self, key: str, parent: str) -> None:
        """Note who has started an agent: of several that are claimed, the first by name."""
        if key not in (parent, REST):
            self.parents[key] = min(parent, self.parents.get(key, parent))

    def add_attempts(self, rows: Iterable[LoggedAttempt]) -> None:
        """Add the times of attempts, also to the groups that there are when the requests have been added."""
        for row in rows:
            self.times.add(row)
            group = self._group_of_attempts(row.account, row.timestamp[:16])
            if group:
                group.times.add(row)

    def merge_attempts(self, times: Times, wanted: Container[int]) -> None:
        """Add the times of the `wanted` slots, as `add_attempts` would add their rows."""
        for account, cells in times.items():
            for slot, each in cells.items():
                if slot in wanted:
                    self.times.merge(each)
                    group = self._group_of_attempts(account, minute_of(slot))
                    if group:
                        group.times.merge(each)

    def _group_of_attempts(self, account: str | None, minute: str) -> GroupSums | None:
        """Return the group of attempts.

        Their rows do not name what a request asked for, nor who: of models, sessions and clients no times are known.
        """
        if self.by == "day":
            return self.groups.get(local_hour(minute)[0])
        return self.groups.get(attempts_key(account)) if self.by == "account" else None

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
        order = sorted(
            lines, key=lambda name: (name == REST, [self._rank(each) for each in lines[name]])
        )
        return [(name, self.groups[name]) for name in order]

    def _rank(self, name: str) -> tuple[float, str]:
        group = self.groups.get(name)
        return (-group.requests if group else -math.inf), name


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
        whole.merge_sums(group)
        for when, requests in group.over_time.items():
            whole.count(when, requests)
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
