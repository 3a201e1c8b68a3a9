"""What the page History shows: the requests of a time range by columns of days or hours, and by groups.

Roll-ups answer it: the totals of each day for all groups, and the slots of those groups only that are shown.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from heapq import nlargest
from itertools import islice
from pathlib import Path

import msgspec

from neurolink_mitm.core.logs.timestamps import local_hour
from neurolink_mitm.records.rollup_reader import RollupReader
from neurolink_mitm.records.rollups import BrokenError
from neurolink_mitm.records.row_reader import LoggedAttempt, LoggedRequest
from neurolink_mitm.records.slots import SLOT, minute_of
from neurolink_mitm.records.stats import REST, WHOLE, Times, key_of, section_of
from neurolink_mitm.records.summing import Reading, sum_up
from neurolink_mitm.records.sums import Numbers, Quantiles, Sums

SHOWN = 30
"""Groups in the table; the others are one row."""
DRAWN = 5
"""Groups with a line of their own in the charts."""
MOST = 5_000
"""Groups that are counted; from time to time the smallest are put together."""
COLUMNS = 400
"""Columns of a chart at most; older ones are left out."""
STEPS = ("day", "hour")

_CELLS = msgspec.json.Decoder(dict[int, Sums]).decode
_NUMBERS = msgspec.json.Decoder(dict[int, Numbers]).decode


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked; times are seconds since the epoch, widened to whole slots."""

    by: str = "account"
    step: str = "day"
    since: float | None = None
    until: float | None = None
    shift: float | None = None
    """Seconds that the range to compare with is earlier; None: just before this one."""

    @property
    def range(self) -> tuple[float | None, float | None]:
        since, until = self.since, self.until
        return (None if since is None else math.floor(since / SLOT) * SLOT,
                None if until is None else math.ceil(until / SLOT) * SLOT)  # fmt: skip

    @property
    def before(self) -> tuple[float, float] | None:
        """The range of the same length to compare with."""
        since, until = self.range
        if since is None or until is None or until <= since:
            return None
        shift = until - since if self.shift is None else self.shift
        return since - shift, until - shift


@dataclass(slots=True)
class Line:
    """A group over time: requests and cost by column."""

    requests: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    cost: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, column: str, numbers: Numbers) -> None:
        self.requests[column] += numbers.requests
        self.cost[column] += numbers.cost


@dataclass(slots=True)
class Answer:
    """What there is of a question. `groups` are in order of requests, the first `DRAWN` of them have a line."""

    columns: list[str]
    over_time: Mapping[str, Sums]
    groups: list[tuple[str, Sums]]
    lines: Mapping[str, Line]
    total: Sums
    before: Numbers | None
    reading: Reading
    cut: bool
    """Whether there were more columns."""


def answer(logs: Path, asked: Question) -> Answer:
    """Return what roll-ups and the last rows say; days that are not read yet are in `reading.unread`."""
    since, until = asked.range
    column_of = _day if asked.step == "day" else _hour
    by_column, by_group = ColumnSums(column_of), GroupCounts(asked.by, column_of)
    both = _Both(by_column, by_group)
    reading = sum_up(logs, both, since, until, build=False, attempts=False)
    groups = by_group.finish(logs)
    before = None
    if asked.before:
        sum_up(logs, earlier := TotalNumbers(), *asked.before, build=False, attempts=False)
        before = earlier.numbers
    columns = list(_columns(by_column.sums, asked))
    return Answer(columns[-COLUMNS:], by_column.sums, groups, by_group.lines, by_column.total(), before, reading,
                  len(columns) > COLUMNS)  # fmt: skip


def _day(minute: str) -> str:
    return local_hour(minute)[0]


def _hour(minute: str) -> str:
    return "T".join(local_hour(minute))


def start_of(column: str) -> float:
    """Return when a column begins, in seconds since the epoch."""
    try:
        return datetime.fromisoformat(column).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _columns(sums: Mapping[str, Sums], asked: Question) -> Iterator[str]:
    """Yield the columns from the first to the last that has requests, those without in between, too."""
    if not sums:
        return
    first, last = min(sums), max(sums)
    step = timedelta(days=1) if asked.step == "day" else timedelta(hours=1)
    moment, limit = datetime.fromisoformat(first), datetime.fromisoformat(last)
    length = len(first)
    if (limit - moment) / step > 20_000:  # a clock that was wrong by years
        yield from sorted(sums)
        return
    while moment <= limit:
        yield moment.isoformat()[:length]
        moment += step


class _NoAttempts:
    """History asks for no attempts."""

    def add_attempts(self, rows: Iterable[LoggedAttempt]) -> None:
        raise AssertionError

    def merge_attempts(self, times: Times, wanted: Container[int]) -> None:
        raise AssertionError


class ColumnSums(_NoAttempts):
    """The sums of each column."""

    by = "day"

    def __init__(self, column_of: Callable[[str], str]) -> None:
        self.sums: dict[str, Sums] = {}
        self._column_of = column_of

    def add(self, rows: Iterable[LoggedRequest]) -> None:
        for row in rows:
            self._sums(row.timestamp[:16]).add_request(row)

    def merge(self, rollup: RollupReader, wanted: Container[int]) -> None:
        for slot, sums in rollup.groups(WHOLE).get(WHOLE, {}).items():
            if slot in wanted:
                self._sums(minute_of(slot)).merge_sums(sums)

    def _sums(self, minute: str) -> Sums:
        return self.sums.setdefault(self._column_of(minute), Sums())

    def total(self) -> Sums:
        total = Sums()
        for sums in self.sums.values():
            total.merge_sums(sums)
        return total


class TotalNumbers(_NoAttempts):
    """The numbers of a time range, without any division."""

    by = "day"

    def __init__(self) -> None:
        self.numbers = Numbers()

    def add(self, rows: Iterable[LoggedRequest]) -> None:
        for row in rows:
            self.numbers.add(row)

    def merge(self, rollup: RollupReader, wanted: Container[int]) -> None:
        for cells in rollup.raw(WHOLE).values():
            for slot, numbers in _NUMBERS(cells).items():
                if slot in wanted:
                    self.numbers.merge(numbers)


class GroupCounts(_NoAttempts):
    """The sums of each group, and the lines of the largest ones."""

    def __init__(self, by: str, column_of: Callable[[str], str]) -> None:
        self.by = by
        self.lines: dict[str, Line] = defaultdict(Line)
        self._section = section_of(by)
        self._column_of = column_of
        self._numbers: dict[str, Numbers] = {}
        self._first_byte: dict[str, Quantiles] = {}
        self._whole_days: list[date] = []

    def add(self, rows: Iterable[LoggedRequest]) -> None:
        for row in rows:
            key = key_of(self.by, row)
            sums = Sums()
            sums.add_request(row)
            self._add(key, row.timestamp[:16], sums)

    def merge(self, rollup: RollupReader, wanted: Container[int]) -> None:
        totals = rollup.totals(self._section)
        if totals.first in wanted and totals.last in wanted:
            for key, numbers in totals.numbers.items():
                if key in self._numbers:
                    self._numbers[key].merge(numbers)
                else:  # the usual case: thousands of sessions and agents, each of one day
                    self._numbers[key] = numbers
            self._whole_days.append(rollup.day)
        else:
            for key, cells in rollup.groups(self._section).items():
                for slot, sums in cells.items():
                    if slot in wanted:
                        self._add(key, minute_of(slot), sums)
        self._prune()

    def _add(self, key: str, minute: str, sums: Sums) -> None:
        self._count(key, sums)
        self._first_byte.setdefault(key, Quantiles()).merge(sums.first_byte)
        self.lines[key].add(self._column_of(minute), sums)

    def _count(self, key: str, numbers: Numbers) -> None:
        sums = self._numbers.get(key)
        if sums is None:
            sums = self._numbers[key] = Numbers()
        sums.merge(numbers)

    def _prune(self) -> None:
        if len(self._numbers) <= 2 * MOST:
            return
        for key in sorted(self._numbers, key=self._rank)[:-MOST]:
            if key != REST:
                self._count(REST, self._numbers.pop(key))
                self.lines.pop(key, None)
                self._first_byte.pop(key, None)

    def _rank(self, key: str) -> tuple[bool, int, str]:
        return key != REST, self._numbers[key].requests, key

    def finish(self, logs: Path) -> list[tuple[str, Sums]]:
        """Return the groups to be shown, the largest first, with the others as the last one."""
        largest = nlargest(SHOWN, self._numbers, key=self._rank)
        for day in self._whole_days:
            try:
                with RollupReader(logs, day) as rollup:
                    self._read_more(rollup, largest)
            except (OSError, BrokenError):
                continue  # it was deleted just now: its numbers are there, its line is not
        rest = Sums()
        for key in self._numbers.keys() - set(largest):
            rest.merge(self._numbers[key])
        drawn = set(islice(largest, DRAWN))
        self.lines = {key: line for key, line in self.lines.items() if key in drawn}
        groups = [(key, self._sums(key)) for key in largest if key != REST]
        if REST in largest:
            rest.merge(self._numbers[REST])
        return groups + ([(REST, rest)] if rest.requests else [])

    def _read_more(self, rollup: RollupReader, shown: list[str]) -> None:
        """Add how soon the first byte came, and the lines."""
        first_byte = rollup.totals(self._section).first_byte
        cells_of = rollup.raw(self._section)
        for rank, key in enumerate(shown):
            if key not in cells_of:
                continue
            quantiles = self._first_byte.setdefault(key, Quantiles())
            if key in first_byte:
                quantiles.merge(first_byte[key])
            else:
                for sums in _CELLS(cells_of[key]).values():
                    quantiles.merge(sums.first_byte)
            if rank < DRAWN:
                line = self.lines[key]
                for slot, numbers in _NUMBERS(cells_of[key]).items():
                    line.add(self._column_of(minute_of(slot)), numbers)

    def _sums(self, key: str) -> Sums:
        sums = Sums()
        sums.merge(self._numbers[key])
        sums.first_byte = self._first_byte.get(key, Quantiles())
        return sums


class _Both(_NoAttempts):
    """Opens each roll-up once for both sinks."""

    def __init__(self, by_column: ColumnSums, by_group: GroupCounts) -> None:
        self.by = by_group.by
        self._sinks = (by_column, by_group)

    def add(self, rows: Iterable[LoggedRequest]) -> None:
        for row in rows:
            for sink in self._sinks:
                sink.add((row,))

    def merge(self, rollup: RollupReader, wanted: Container[int]) -> None:
        for sink in self._sinks:
            sink.merge(rollup, wanted)
