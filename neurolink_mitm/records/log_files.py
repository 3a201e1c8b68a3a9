"""Reads log files of any size line by line, torn lines included."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import BinaryIO

from neurolink_mitm.core.logs.timestamps import FIRST, LAST

LONGEST = 1024 * 1024
"""Bytes of a line; longer ones are skipped."""
_BLOCK = 256 * 1024
_LARGE_BLOCK = 128 * 1024
"""Bytes that are searched at once: to find a text in them keeps the GIL for a millisecond at most."""

OnBytes = Callable[[int], object]


def files(
    directory: Path, family: str, since: float | None = None, until: float | None = None
) -> list[Path]:
    """Return the files of a family that may hold rows from `since` to `until`, the oldest first."""
    first = _utc_day(since) if since is not None else date.min
    last = _utc_day(until) if until is not None else date.max
    return [path for day, path in by_day(directory, family).items() if first <= day <= last]


def by_day(directory: Path, family: str) -> dict[date, Path]:
    """Return the files of a family by their day, the oldest first."""
    paths = directory.glob(f"{family}-*.jsonl")
    return dict(sorted((day, path) for path in paths if (day := _day(path, family))))


def days(directory: Path, family: str) -> set[date]:
    """Return the days that have a file of a family."""
    return {day for path in directory.glob(f"{family}-*.jsonl") if (day := _day(path, family))}


def _utc_day(seconds: float) -> date:
    return datetime.fromtimestamp(min(max(seconds, FIRST), LAST), UTC).date()


def _day(path: Path, family: str) -> date | None:
    try:
        return date.fromisoformat(path.name[len(family) + 1 : -len(".jsonl")])
    except ValueError:
        return None


def size(paths: list[Path]) -> int:
    """Return the bytes of all files."""
    total = 0
    for path in paths:
        with suppress(OSError):  # deleted meanwhile
            total += path.stat().st_size
    return total


def lines(path: Path, on_bytes: OnBytes = lambda _: None) -> Iterator[bytes]:
    """Yield the lines; `on_bytes` is called now and then with the bytes read since the last call."""
    try:
        file = path.open("rb", buffering=_BLOCK)
    except FileNotFoundError:  # deleted meanwhile
        return
    read = 0
    with file:
        while line := file.readline(LONGEST):
            read += len(line)
            if read > _BLOCK:
                on_bytes(read)
                read = 0
            if len(line) == LONGEST and not line.endswith(b"\n"):
                read += skip_line(file)
            else:
                yield line
    on_bytes(read)


def skip_line(file: BinaryIO) -> int:
    read = 0
    while part := file.readline(LONGEST):
        read += len(part)
        if part.endswith(b"\n"):
            break
    return read


def lines_backwards(path: Path) -> Iterator[bytes]:
    """Yield the lines from the last to the first, without line ends."""
    for _, lines in blocks_backwards(path):
        yield from reversed(lines.split(b"\n"))


def blocks_backwards(path: Path, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield blocks of whole lines, those before the offset `end` first, each with the offset of its start.

    Lines longer than `LONGEST` are left out. Nothing is read ahead, and the file may grow, shrink or go meanwhile.
    """
    try:
        file = path.open("rb", buffering=0)
    except OSError:
        return
    with file:
        at = file.seek(0, os.SEEK_END)
        at = at if end is None else min(end, at)
        wanted = _LARGE_BLOCK
        while at > 0:
            start = max(0, at - wanted)
            block = os.pread(file.fileno(), at - start, start)
            first = block.find(b"\n", 0, len(block) - 1) + 1 if start else 0
            if first or not start:
                yield start + first, block[first:] if first else block
                at, wanted = start + first, _LARGE_BLOCK
            elif wanted < LONGEST:
                wanted *= 2
            else:
                at = _line_start(file.fileno(), start)


def _line_start(descriptor: int, at: int) -> int:
    """Return where the line begins that goes on at the offset `at`."""
    while at > 0:
        start = max(0, at - _LARGE_BLOCK)
        if line := os.pread(descriptor, at - start, start).rfind(b"\n") + 1:
            return start + line
        at = start
    return 0


def lines_with(path: Path, needle: Sequence[bytes]) -> list[bytes]:
    """Return the lines that hold one of the texts in `needle`."""
    lines: list[bytes] = []
    for _, block in blocks_backwards(path):
        spans = reversed(line_spans(block, needle).items())
        lines += (block[start:end] for start, end in spans)
    return lines[::-1]


def line_spans(block: bytes, needle: Sequence[bytes]) -> dict[int, int]:
    """Return where the lines that hold one of the texts in `needle` start and end, in order."""
    spans: dict[int, int] = {}
    for each in needle:
        at = block.find(each)
        while at >= 0:
            end = block.find(b"\n", at)
            end = len(block) if end < 0 else end
            spans[block.rfind(b"\n", 0, at) + 1] = end
            at = block.find(each, end)
    return spans if len(needle) == 1 else dict(sorted(spans.items()))


@dataclass(slots=True)
class Follower:
    """Follows the newest file of a family, and from midnight on the next day's."""

    directory: Path
    family: str
    _path: Path | None = None
    _inode: int = 0
    _at: int = 0

    def start(self) -> None:
        """Skip the lines that exist now."""
        if newest := files(self.directory, self.family)[-1:]:
            self._open(newest[0], at_end=True)

    def more(self) -> Iterator[bytes]:
        """Yield the whole lines that were added since the last call."""
        for path in files(self.directory, self.family):
            if self._path is None or path.name >= self._path.name:
                with suppress(FileNotFoundError):
                    yield from self._more_of(path)

    def _more_of(self, path: Path) -> Iterator[bytes]:
        stat = path.stat()
        if path != self._path or stat.st_ino != self._inode or stat.st_size < self._at:
            self._open(path, at_end=False)
        if stat.st_size == self._at:
            return
        with path.open("rb") as file:
            file.seek(self._at)
            for line in iter(lambda: file.readline(LONGEST), b""):
                if not line.endswith(b"\n") and len(line) < LONGEST:
                    return  # the rest of it is still to come
                self._at += len(line)
                yield line

    def _open(self, path: Path, *, at_end: bool) -> None:
        stat = path.stat()
        self._path, self._inode = path, stat.st_ino
        self._at = stat.st_size if at_end else 0
