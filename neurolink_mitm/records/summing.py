"""Sums up the requests and attempts of a time range: from roll-ups where these can answer exactly, else from rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Protocol

from neurolink_mitm.core.logs.timestamps import FIRST, LAST
from neurolink_mitm.records import log_files, rollup_files, rollup_reader
from neurolink_mitm.records.log_files import OnBytes
from neurolink_mitm.records.rollup_files import Lines, Position, breathing, rows_of
from neurolink_mitm.records.rollup_reader import RollupReader
from neurolink_mitm.records.rollups import BrokenError, Source
from neurolink_mitm.records.row_reader import (
    LoggedAttempt,
    LoggedRequest,
    RequestFilter,
    RowReader,
    TimeRange,
)
from neurolink_mitm.records.slots import Slots, slot_of
from neurolink_mitm.records.stats import REST, Times, section_of

ALL = RequestFilter()
"""Selects all requests."""
WORTH_A_ROLLUP = 1_000_000
"""Bytes of rows; fewer are read each time rather than written down."""

REQUESTS, ATTEMPTS = rollup_files.FAMILIES


def _named(days: Collection[date]) -> str:
    return str(*days) if len(days) == 1 else f"{len(days)} days, the last of them {max(days)},"


class Sink(Protocol):
    """What requests and attempts are added to, as rows or as sums. All requests come before the attempts."""

    by: str

    def add(self, rows: Iterable[LoggedRequest]) -> None: ...

    def merge(self, rollup: RollupReader, wanted: Container[int]) -> None: ...

    def add_attempts(self, rows: Iterable[LoggedAttempt]) -> None: ...

    def merge_attempts(self, times: Times, wanted: Container[int]) -> None: ...


@dataclass(slots=True)
class Reading:
    """What could not be read, or not as exactly."""

    bad: int = 0
    """Lines that are no rows."""
    without_rows: set[date] = field(default_factory=set)
    """Days of which only the roll-up is left."""
    widened: set[date] = field(default_factory=set)
    """Those of them of which only a part of a quarter of an hour was asked for: it was taken whole."""
    unreadable: set[date] = field(default_factory=set)
    """Days of which only a roll-up is left, and that can't be read."""
    unread: set[date] = field(default_factory=set)
    """Days whose rows are still to be read, see `build`."""
    unfiltered: set[date] = field(default_factory=set)
    """Days of which only a roll-up is left, which can't tell the selected requests."""

    def notes(self) -> Iterator[str]:
        """Yield what a reader of the numbers has to know."""
        if self.bad:
            yield f"{self.bad} lines are no rows, left out"
        if self.unfiltered:
            yield f"only the sums of {_named(self.unfiltered)} are left, which can't be filtered: left out"
        if self.unreadable:
            yield f"the sums of {_named(self.unreadable)} can't be read, and the rows are gone: left out"
        if self.widened:
            yield f"only the sums of {_named(self.widened)} are left: counted by whole quarters of an hour"


def sum_up(
    logs: Path,
    sink: Sink,
    since: float | None,
    until: float | None,
    progress: Callable[[int], AbstractContextManager[OnBytes]] = lambda _: nullcontext(
        lambda _: None
    ),
    wanted: RequestFilter = ALL,
    build: bool = True,
    attempts: bool = True,
) -> Reading:
    """Add the requests and attempts of a time range to `sink`.

    Of selected requests the attempts are not added: their rows do not say whose they are. Roll-ups do not say what
    else a request was, either: selected ones are read from rows.

    `progress` is called with the bytes to read, and returns what is called with those that were read. Without `build`,
    days with many rows that are not in a roll-up yet are left out.
    """
    days = days_between(logs, since, until)
    reading = Reading()
    with progress(_to_read(logs, days, select=wanted != ALL)) as on_bytes:
        summing = _Summing(logs, sink, Slots.of(since, until), reading, on_bytes, wanted, build)
        for day in days:
            summing.add(day, REQUESTS)
        for day in days if attempts and wanted == ALL else ():
            summing.add(day, ATTEMPTS)
    return reading


def days_between(logs: Path, since: float | None, until: float | None) -> list[date]:
    """Return the days that have rows or a roll-up, and may have requests in a time range, the oldest first."""
    days = (
        rollup_reader.days(logs) | log_files.days(logs, REQUESTS) | log_files.days(logs, ATTEMPTS)
    )
    first = date.min if since is None else _utc_day(since)
    last = date.max if until is None else _utc_day(until)
    return sorted(day for day in days if first <= day <= last)


def _utc_day(seconds: float) -> date:
    return datetime.fromtimestamp(min(max(seconds, FIRST), LAST), UTC).date()


def _to_read(logs: Path, days: Iterable[date], *, select: bool) -> int:
    if select:
        return log_files.size([rows_of(logs, REQUESTS, day) for day in days])
    return sum(unread(logs, day) for day in days)


def unread(logs: Path, day: date) -> int:
    """Return the bytes of a day's rows that are in no roll-up."""
    sources: Mapping[str, Source] = {}
    with suppress(OSError, BrokenError), RollupReader(logs, day) as rollup:
        sources = rollup.header.sources
    return sum(
        rollup_files.unread(sources.get(family), rows_of(logs, family, day))
        for family in rollup_files.FAMILIES
    )


@dataclass(slots=True)
class _Summing:
    """One reading of a time range."""

    logs: Path
    sink: Sink
    slots: Slots
    reading: Reading
    on_bytes: OnBytes
    wanted: RequestFilter
    build: bool

    def add(self, day: date, family: str) -> None:
        """Add the requests or the attempts of a day."""
        has_rows = rows_of(self.logs, family, day).exists()
        if self.wanted != ALL:
            self._add_rows(day, family)
            if not has_rows:
                self.reading.unfiltered.add(day)
            return
        many = family == REQUESTS and unread(self.logs, day) > WORTH_A_ROLLUP
        if many and self.build:
            self._refresh(day)
        elif many or day in self.reading.unread:
            self.reading.unread.add(day)
        try:
            self._add_rollup(day, family)
        except FileNotFoundError:
            self._add_unread(day, family)
        except (OSError, BrokenError):
            if has_rows:
                self._add_unread(day, family)
            elif family == REQUESTS or not rows_of(self.logs, REQUESTS, day).exists():
                self.reading.unreadable.add(day)

    def _refresh(self, day: date) -> None:
        # a full disk, another's lock, a later version: then the rows are read
        with suppress(OSError, BrokenError):
            rollup_files.refresh(self.logs, day, self.on_bytes)

    def _add_rollup(self, day: date, family: str) -> None:
        """Add the sums of a roll-up, and the rows that it does not have."""
        with RollupReader(self.logs, day) as rollup:
            source = rollup.header.sources.get(family)
            path = rows_of(self.logs, family, day)
            place = rollup_files.position(source, path)
            if source is None or place is Position.REPLACED:
                self._add_unread(day, family)
                return
            known = family == REQUESTS and (self.build or any(self.slots.edges()))
            groups = rollup.groups(section_of(self.sink.by)) if known else {}
            times = rollup.times() if family == ATTEMPTS else {}
            has_rows = place is Position.GROWN and not source.base
            if has_rows and (REST in groups or REST in times) and self.build:
                self._add_rows(day, family)  # they know all groups
                return
            slots = self._with_edges(day, {**groups, **times}, has_rows)
            if family == REQUESTS:
                self.sink.merge(rollup, slots)
            else:
                self.sink.merge_attempts(times, slots)
            self.reading.bad += source.bad
        if place is Position.GONE:
            self.reading.without_rows.add(day)
        elif has_rows:
            self._add_edges(day, family, source.read, {**groups, **times})
        if place is not Position.GONE:
            start = source.read if place is Position.GROWN else 0
            self._add_unread(day, family, start)

    def _with_edges(
        self, day: date, groups: Mapping[str, Container[int]], has_rows: bool
    ) -> Container[int]:
        """Return the slots to take whole: those at the edges too, unless rows tell their parts."""
        if has_rows:
            return self.slots
        edges = {slot for slot, _, _ in self.slots.edges() if _any_in(groups, slot)}
        if edges:
            self.reading.widened.add(day)
        return _Union(self.slots, edges)

    def _add_edges(
        self, day: date, family: str, end: int, groups: Mapping[str, Container[int]]
    ) -> None:
        for slot, since, until in self.slots.edges():
            if _any_in(groups, slot):
                self._add_lines(day, family, TimeRange.of(since, until), 0, end, again=True)

    def _add_unread(self, day: date, family: str, start: int = 0) -> None:
        if day not in self.reading.unread:
            self._add_rows(day, family, start)

    def _add_rows(self, day: date, family: str, start: int = 0) -> None:
        times = TimeRange.of(self.slots.since, self.slots.until)
        self._add_lines(day, family, times, start, float("inf"))

    def _add_lines(
        self, day: date, family: str, times: TimeRange, start: int, end: float, again: bool = False
    ) -> None:
        """Add the rows in a part of a file; lines that are read `again` count no more."""
        try:
            file = rows_of(self.logs, family, day).open("rb", buffering=256 * 1024)
        except FileNotFoundError:
            return
        reader, lines = RowReader(), Lines(file, start, end)
        needles = self.wanted.needles()
        with file:
            chosen = (
                line
                for line in breathing(lines, (lambda _: None) if again else self.on_bytes)
                if all(any(each in line for each in needle) for needle in needles)
            )
            if family == REQUESTS:
                requests = reader.read(chosen, LoggedRequest)
                self.sink.add(
                    row for row in requests if self._timed(row, reader) and row.timestamp in times
                    and (self.wanted == ALL or self.wanted(row))
                )  # fmt: skip
            else:
                tries = reader.read(chosen, LoggedAttempt)
                self.sink.add_attempts(
                    row for row in tries if self._timed(row, reader) and row.timestamp in times
                )
        if not again:
            self.reading.bad += reader.bad + lines.torn

    def _timed(self, row: LoggedRequest | LoggedAttempt, reader: RowReader) -> bool:
        if slot_of(row.timestamp) is None:
            reader.bad += 1
            return False
        return True


def _any_in(groups: Mapping[str, Container[int]], slot: int) -> bool:
    return any(slot in cells for cells in groups.values())


class _Union:
    """All that is in one of two containers."""

    def __init__(self, *containers: Container[int]) -> None:
        self._containers = containers

    def __contains__(self, slot: object) -> bool:
        return any(slot in each for each in self._containers)
