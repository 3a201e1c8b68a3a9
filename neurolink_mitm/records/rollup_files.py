"""Reads and writes `rollups/DATE.json` beside the logs.

A file is replaced as a whole, under a lock of all processes. It says how far it has read the rows of its day, so that
who looks next reads only what has been added since. Rows that were replaced are read anew, rows that are gone are still
summed up in it.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from enum import Enum
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import msgspec
from filelock import FileLock

from neurolink_mitm.adapters import files
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.records import rollups
from neurolink_mitm.records.log_files import LONGEST, skip_line
from neurolink_mitm.records.rollup_reader import FOLDER, RollupReader, path_of
from neurolink_mitm.records.rollups import (
    BrokenError,
    NewerError,
    Rollup,
    Source,
)
from neurolink_mitm.records.row_reader import LoggedAttempt, LoggedRequest, RowReader

logger = logging.getLogger("neurolink.journal")

FAMILIES = ("proxy", "proxy-attempts")
_TAIL = 1024
"""Bytes of rows that tell a file that has grown from another one."""
_BREATH = 64
"""Rows between two calls of `breathe`."""

Breathe = Callable[[int], object]
"""Called every few rows with the bytes read since, to let other threads run; what it raises ends the reading."""


class Position(Enum):
    """How a file of rows stands to what has been read of it."""

    GONE = "gone"
    NEW = "new"
    GROWN = "grown"
    """Or as it was."""
    NEXT = "next"
    """Another one, after the cleaner has deleted the one that was read."""
    REPLACED = "replaced"


def rows_of(logs: Path, family: str, day: date) -> Path:
    return logs / f"{family}-{day}.jsonl"


def position(source: Source | None, path: Path) -> Position:
    """Return how the rows at `path` stand to what has been read of them."""
    try:
        with path.open("rb") as file:
            if source is None:
                return Position.NEW
            if _is_same(source, file):
                return Position.GROWN
    except OSError:
        return Position.GONE
    return Position.NEXT if source.cleaned else Position.REPLACED


def _is_same(source: Source, file: BinaryIO) -> bool:
    status = os.fstat(file.fileno())
    if status.st_ino != source.inode or status.st_size < source.read:
        return False
    if status.st_size == source.read and status.st_mtime_ns != source.changed:
        return False
    return _tail(file, source.read) == source.tail


def _tail(file: BinaryIO, end: int) -> int:
    start = max(0, end - _TAIL)
    file.seek(start)
    return crc32(file.read(end - start))


def unread(source: Source | None, path: Path) -> int:
    """Return the bytes of rows that the roll-up does not have."""
    read = source.read if source and position(source, path) is Position.GROWN else 0
    try:
        return max(0, path.stat().st_size - read)
    except OSError:
        return 0


@dataclass(slots=True)
class Lines:
    """The whole lines of a file from `at` to `end`; afterwards `at` is behind the last of them.

    A last line without its end is whole if it is a JSON value; else the rest of it is still to come.
    """

    file: BinaryIO
    at: int = 0
    end: float = float("inf")
    torn: bool = False
    """Whether the last line is not whole."""

    def __iter__(self) -> Iterator[bytes]:
        self.file.seek(self.at)
        while self.at < self.end and (line := self.file.readline(LONGEST)):
            if line.endswith(b"\n"):
                self.at += len(line)
            elif len(line) == LONGEST:
                self.at += LONGEST + skip_line(self.file)
                continue
            elif _is_whole(line):
                self.at += len(line)
            else:
                self.torn = bool(line.strip())
                return
            yield line


def _is_whole(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except UNREADABLE:
        return False
    return True


def is_stale(logs: Path, day: date) -> bool:
    """Whether rows of a day are not in its roll-up."""
    try:
        with RollupReader(logs, day) as reader:
            sources = reader.header.sources
    except (OSError, BrokenError):
        sources = {}
    return any(_is_stale(sources.get(family), rows_of(logs, family, day)) for family in FAMILIES)


def _is_stale(source: Source | None, path: Path) -> bool:
    place = position(source, path)
    if place is Position.GROWN and source:
        with suppress(OSError):
            return path.stat().st_size > source.read
    return place not in (Position.GROWN, Position.GONE)


def refresh(logs: Path, day: date, breathe: Breathe = lambda _: None) -> None:
    """Bring the roll-up of a day up to its rows.

    Raises `NewerError`, and `OSError`, also if another process holds the lock.
    """
    with _locked(logs):
        _refresh(logs, day, breathe)


def is_broken(logs: Path, day: date) -> bool:
    """Whether the roll-up of a day has no header that can be read."""
    try:
        RollupReader(logs, day).__exit__()
    except NewerError:
        return False
    except BrokenError:
        return True
    except OSError:
        return False
    return False


def _locked(logs: Path) -> FileLock:
    files.private_directory(logs / FOLDER)
    return files.locked(logs / FOLDER / "rollups")


def _refresh(logs: Path, day: date, breathe: Breathe) -> None:
    rollup = _load(logs, day)
    grown = [_read(rollup, family, rows_of(logs, family, day), breathe) for family in FAMILIES]
    if any(grown):
        _write(logs, day, rollup)


def _write(logs: Path, day: date, rollup: Rollup) -> None:
    path = path_of(logs, day)
    files.remove_temporaries(path, older=files.ABANDONED)
    files.write_atomic(path, rollups.encode(str(day), rollup))


def _load(logs: Path, day: date) -> Rollup:
    """Return the roll-up to go on from: an empty one, if what there is can't be read. Raises `NewerError`."""
    try:
        with RollupReader(logs, day) as reader:
            return reader.rollup()
    except FileNotFoundError:
        return Rollup()
    except NewerError:
        raise
    except BrokenError as e:
        if any(rows_of(logs, family, day).exists() for family in FAMILIES):
            logger.warning("the roll-up of %s is %s: it is made again from the rows", day, e)
        else:
            files.set_aside(path_of(logs, day))
        return Rollup()


def _read(rollup: Rollup, family: str, path: Path, breathe: Breathe) -> bool:
    """Add the rows that `rollup` does not have yet; return whether anything has changed."""
    try:
        file = path.open("rb", buffering=256 * 1024)
    except FileNotFoundError:
        return False
    with file:
        return _read_file(rollup, family, path, file, breathe)


def _read_file(rollup: Rollup, family: str, path: Path, file: BinaryIO, breathe: Breathe) -> bool:
    source = rollup.sources.get(family)
    place = position(source, path)
    if place is Position.REPLACED:
        rollup.forget(family)
        source = None
    at = source.read if source and place is Position.GROWN else 0
    lines, reader = Lines(file, at), RowReader()
    bad = _add(rollup, family, reader, breathing(lines, breathe))
    if source and lines.at == at and place is Position.GROWN:
        return False
    status = os.fstat(file.fileno())
    bad += reader.bad + (source.bad if source else 0)
    base = source is not None and (source.base or place is Position.NEXT)
    rollup.sources[family] = Source(
        status.st_ino, lines.at, status.st_mtime_ns, _tail(file, lines.at), bad, base=base
    )
    return True


def _add(rollup: Rollup, family: str, reader: RowReader, lines: Iterable[bytes]) -> int:
    if family == "proxy":
        return rollup.add(reader.read(lines, LoggedRequest))
    return rollup.add_attempts(reader.read(lines, LoggedAttempt))


def breathing(lines: Lines, breathe: Breathe) -> Iterator[bytes]:
    """Yield the lines, and call `breathe` now and then."""
    before = lines.at
    for number, line in enumerate(lines):
        if number % _BREATH == 0:
            breathe(lines.at - before)
            before = lines.at
        yield line
    breathe(lines.at - before)


def remove_rows(logs: Path, day: date, family: str, breathe: Breathe = lambda _: None) -> None:
    """Delete the rows of a day when its roll-up has all of them. Raises as `refresh`; then they are still there.

    Killed in between, the rows are either still there, and known to have been read, or gone. What the journal writes
    meanwhile is read from the deleted file.
    """
    path = rows_of(logs, family, day)
    with _locked(logs):
        rollup = _load(logs, day)
        for each in FAMILIES:
            _read(rollup, each, rows_of(logs, each, day), breathe)
        if source := rollup.sources.get(family):
            source.cleaned = True
        with path.open("rb") as file:
            written = _write_unless_full(logs, day, rollup)
            path.unlink()
            if source and os.fstat(file.fileno()).st_size > source.read:
                _add(rollup, family, RowReader(), Lines(file, source.read))
                written = False
            if not written:
                _write(logs, day, rollup)


def _write_unless_full(logs: Path, day: date, rollup: Rollup) -> bool:
    """Write the roll-up; return False on a full disk, where rows have to go first."""
    try:
        _write(logs, day, rollup)
    except OSError as e:
        if e.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return False
    return True
