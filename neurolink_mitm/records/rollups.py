"""The roll-up of a day: sums of its requests by slot and by each of `BY`, and of its attempts.

It answers what statistics ask without the rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import nlargest
from typing import TypeVar
from zlib import crc32

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.records.row_reader import LoggedAttempt, LoggedRequest
from neurolink_mitm.records.slots import slot_of
from neurolink_mitm.records.stats import (
    BY,
    REST,
    WHOLE,
    Groups,
    Times,
    attempts_key,
    key_of,
    parent_of,
)
from neurolink_mitm.records.sums import AttemptTimes, Numbers, Quantiles, Sums

T = TypeVar("T")

VERSION = 1
MAX_KEYS = 1_000
"""Groups of a day at most, by each of `BY`; requests of further ones are summed up under `REST`."""
ATTEMPTS = "attempts"
TOTALS = "{} totals"
"""The section of the totals of each group of another one."""
MAX_TIMED = 20
"""Groups whose total says how soon the first byte came: those with the most requests."""
REQUESTS = (WHOLE, *(by for by in BY if by != "day"))
"""The sections of requests."""
MAX_CELLS = 30_000
"""Sums of a day at most, by each of `BY`: of further slots, too, requests are summed up under `REST`."""
_SECTIONS = (*REQUESTS, *map(TOTALS.format, REQUESTS), ATTEMPTS)
_PENDING = 2_000
"""Combinations of groups that wait to be added to the sections."""


class BrokenError(Exception):
    """The file is torn, of another version, or none of ours."""


class NewerError(BrokenError):
    """The file is of a later version, which may know how to read it."""


class Source(msgspec.Struct):
    """What has been read of a file of rows: `read` bytes of the file `inode`, last changed at `changed` (ns)."""

    inode: int
    read: int
    changed: int
    tail: int
    """The checksum of the last bytes that were read."""
    bad: int = 0
    """Lines that are no rows."""
    cleaned: bool = False
    """Whether the cleaner has deleted it, or was about to: another file of the name goes on where it ended."""
    base: bool = False
    """Whether rows of a file that the cleaner has deleted are summed up, too."""


class Header(msgspec.Struct):
    """The first line of the file. `sections` has offset behind this line, length and checksum of each."""

    version: int
    day: str
    sources: dict[str, Source]
    parents: dict[str, str]
    """By agent: the one that has started it."""
    sections: dict[str, tuple[int, int, int]]


@dataclass(slots=True)
class Rollup:
    """The sums of one day, while rows are added."""

    requests: dict[str, Groups] = field(default_factory=lambda: {name: {} for name in REQUESTS})
    attempts: Times = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    _sizes: dict[str, int] = field(init=False)
    """Of each section, in cells."""

    def __post_init__(self) -> None:
        self._sizes = {
            name: sum(map(len, groups.values())) for name, groups in self.requests.items()
        }

    def forget(self, family: str) -> None:
        """Leave out all that came from the rows of a family."""
        self.sources.pop(family, None)
        if family == "proxy":
            self.requests, self.parents = {name: {} for name in REQUESTS}, {}
            self.__post_init__()
        else:
            self.attempts = {}

    def add(self, rows: Iterable[LoggedRequest]) -> int:
        """Add requests; return how many have no time."""
        odd = 0
        pending: dict[tuple[object, ...], tuple[int, LoggedRequest, Sums]] = {}
        for row in rows:
            slot = slot_of(row.timestamp)
            if slot is None:
                odd += 1
                continue
            same = (
                slot, row.account, row.model, row.actualModel, row.sessionId, row.api, row.client, row.agentId,
                row.parentAgentId, row.userId, row.conversationId, row.provider, row.outcome, row.responseStatus,
            )  # fmt: skip
            entry = pending.get(same)
            if entry is None:
                if len(pending) >= _PENDING:
                    self._fold(pending.values())
                    pending.clear()
                entry = pending[same] = (slot, row, Sums())
            entry[2].add_request(row)
        self._fold(pending.values())
        return odd

    def _fold(self, pending: Iterable[tuple[int, LoggedRequest, Sums]]) -> None:
        for slot, row, sums in pending:
            for name, groups in self.requests.items():
                wanted = WHOLE if name == WHOLE else key_of(name, row)
                key, cells = _entry(groups, wanted)
                if slot not in cells:
                    if self._sizes[name] >= MAX_CELLS and key != REST:
                        cells = groups.setdefault(REST, {})
                    self._sizes[name] += slot not in cells
                cells.setdefault(slot, Sums()).merge_sums(sums)
                if name == "agent" and (parent := parent_of(row)) and key not in (parent, REST):
                    self.parents[key] = min(parent, self.parents.get(key, parent))

    def add_attempts(self, rows: Iterable[LoggedAttempt]) -> int:
        """Add the times of attempts; return how many have no time."""
        odd = 0
        for row in rows:
            slot = slot_of(row.timestamp)
            if slot is None:
                odd += 1
                continue
            _, cells = _entry(self.attempts, attempts_key(row.account))
            cells.setdefault(slot, AttemptTimes()).add(row)
        return odd


def _entry(groups: dict[str, dict[int, T]], key: str) -> tuple[str, dict[int, T]]:
    cells = groups.get(key)
    if cells is None:
        key = key if len(groups) < MAX_KEYS else REST
        cells = groups.setdefault(key, {})
    return key, cells


class Totals(msgspec.Struct, array_like=True):
    """The totals of a day's groups; `first_byte` of those with the most requests only."""

    numbers: dict[str, Numbers] = {}
    first_byte: dict[str, Quantiles] = {}
    first: int = 0
    """The first slot that has requests; `last` is the last."""
    last: int = 0


def totals_of(groups: Groups) -> Totals:
    """Return the totals of groups."""
    slots = {slot for cells in groups.values() for slot in cells}
    totals = Totals(first=min(slots, default=0), last=max(slots, default=0))
    for key, cells in groups.items():
        numbers = totals.numbers[key] = Numbers()
        for sums in cells.values():
            numbers.merge(sums)
    for key in nlargest(MAX_TIMED, groups, key=lambda key: totals.numbers[key].requests):
        first_byte = totals.first_byte[key] = Quantiles()
        for sums in groups[key].values():
            first_byte.merge(sums.first_byte)
    return totals


def encode(day: str, rollup: Rollup) -> bytes:
    """Return the file of a roll-up: a header, and a line for each section, so that one can be read alone."""
    sections: dict[str, tuple[int, int, int]] = {}
    lines = []
    at = 0
    totals = {TOTALS.format(name): totals_of(groups) for name, groups in rollup.requests.items()}
    for name, content in {**rollup.requests, **totals, ATTEMPTS: rollup.attempts}.items():
        line = msgspec.json.encode(content) + b"\n"
        sections[name] = (at, len(line), crc32(line))
        lines.append(line)
        at += len(line)
    header = Header(VERSION, day, rollup.sources, rollup.parents, sections)
    return b"".join([msgspec.json.encode(header), b"\n", *lines])


def read_header(line: bytes, day: str) -> Header:
    """Return the header of a day's file. Raises `BrokenError`."""
    try:
        version = msgspec.json.decode(line, type=_Version).version
        if version > VERSION:
            raise NewerError(f"of version {version}")
        if version != VERSION:
            raise BrokenError(f"of version {version}")
        header = msgspec.json.decode(line, type=Header)
    except UNREADABLE as e:
        raise BrokenError("torn, or none of ours") from e
    if any(source.read < 0 for source in header.sources.values()):
        raise BrokenError("none of ours")
    if header.day != day or not {*_SECTIONS} <= header.sections.keys():
        raise BrokenError("none of ours")
    return header


class _Version(msgspec.Struct):
    version: int


_GROUPS, _TIMES = msgspec.json.Decoder(Groups), msgspec.json.Decoder(Times)
_TOTALS, _RAW = msgspec.json.Decoder(Totals), msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_groups(line: bytes, expected: tuple[int, int, int]) -> Groups:
    """Return a section of requests. Raises `BrokenError`."""
    return _checked(line, expected, _GROUPS)


def read_totals(line: bytes, expected: tuple[int, int, int]) -> Totals:
    """Return the totals of a section. Raises `BrokenError`."""
    return _checked(line, expected, _TOTALS)


def read_raw(line: bytes, expected: tuple[int, int, int]) -> dict[str, msgspec.Raw]:
    """Return a section of requests, each group still as JSON. Raises `BrokenError`."""
    return _checked(line, expected, _RAW)


def read_times(line: bytes, expected: tuple[int, int, int]) -> Times:
    """Return the section of attempts. Raises `BrokenError`."""
    return _checked(line, expected, _TIMES)


def _checked(line: bytes, expected: tuple[int, int, int], decoder: msgspec.json.Decoder[T]) -> T:
    if len(line) != expected[1] or crc32(line) != expected[2]:
        raise BrokenError("torn")
    try:
        return decoder.decode(line)
    except UNREADABLE as e:
        raise BrokenError("none of ours") from e
