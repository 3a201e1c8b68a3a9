"""Writes the journal: rows go through a bounded queue to a thread that appends them to the day's files."""

from __future__ import annotations

import logging
import os
import queue
import stat
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from neurolink_mitm.adapters.background import Worker
from neurolink_mitm.adapters.files import private_directory
from neurolink_mitm.core.logs.rows import AttemptRow, DebugRow, RequestRow
from neurolink_mitm.core.redact.text import may_hold_secret, redact

logger = logging.getLogger("neurolink.journal")

Row = RequestRow | AttemptRow | DebugRow
_Line = tuple[str, bytes]
"""The name of the file that it belongs to, and what is written there."""
_FAMILIES = {RequestRow: "proxy", AttemptRow: "proxy-attempts", DebugRow: "proxy-debug"}
BACKLOG = 10_000
_BATCH = 500


class FileJournal:
    """`proxy-DATE.jsonl` and `proxy-attempts-DATE.jsonl` under one directory, 0600, one JSON object a line.

    A row is taken or, when the disk is so slow that the backlog is full, counted as lost: never waited for.
    A disk that fails or is too slow is reported once, and once more when it is back.
    """

    def __init__(self, directory: Path, backlog: int = BACKLOG) -> None:
        self.directory = directory
        self.lost = self.bodies_lost = 0
        self.last_error: str | None = None
        self._backlog = backlog
        self._lines: queue.SimpleQueue[_Line | None] = queue.SimpleQueue()
        self._failing = self._overrun = False
        self._files: dict[str, tuple[str, BinaryIO]] = {}
        self._thread = Worker(self._run, "journal")

    def request(self, row: RequestRow) -> None:
        self._put(row)

    def attempt(self, row: AttemptRow) -> None:
        self._put(row)

    def debug(self, row: DebugRow) -> None:
        self._put(row)

    def lose_body(self, why: str) -> None:
        """A captured body could not be written."""
        self.bodies_lost += 1
        self.last_error = why
        if self.bodies_lost == 1:
            logger.error("captured bodies are lost: %s", why)

    def report(self) -> dict[str, object]:
        """For `/status`."""
        return {
            "dropped": self.lost,
            "bodiesDropped": self.bodies_lost,
            "lastError": self.last_error,
        }

    def close(self, timeout: float = 5.0) -> None:
        """Write what is left, within `timeout` seconds."""
        self._lines.put(None)
        self._thread.end(timeout)

    def _put(self, row: Row) -> None:
        """A line is made of it here, where it is at hand: a thread that has just woken up takes four times as long."""
        if self._lines.qsize() < self._backlog:
            self._lines.put((file_name(row), encode(row)))
            return
        self.lost += 1
        if not self._overrun:
            self._overrun = True
            self.last_error = f"the disk is too slow: {self._backlog} rows wait to be written"
            logger.error("rows of the journal are lost, %s", self.last_error)

    def _run(self) -> None:
        ended = False
        while not ended and (first := self._lines.get()) is not None:
            batch, ended = self._more(first)
            self._write(batch)
        self._close_files()

    def _more(self, first: _Line) -> tuple[list[_Line], bool]:
        """What else is waiting, so that a busy proxy costs one write for many rows."""
        batch = [first]
        for _ in range(min(self._lines.qsize(), _BATCH)):  # nobody else takes any
            line = self._lines.get()
            if line is None:
                return batch, True
            batch.append(line)
        return batch, False

    def _write(self, batch: list[_Line]) -> None:
        lines: defaultdict[str, list[bytes]] = defaultdict(list)
        for name, line in batch:
            lines[name].append(line)
        lost, error = 0, None
        for name, rows in lines.items():
            try:
                _append(self._file(name), b"".join(rows))
            except Exception as e:  # whatever it is, the other files and the next rows are written
                lost, error = lost + len(rows), e
        if error:
            self._report(error, lost)
            return
        if self._failing or self._overrun:
            logger.warning("the journal is written again; %d rows were lost", self.lost)
        self._failing = self._overrun = False

    def _file(self, name: str) -> BinaryIO:
        """The day's file, kept open until it is another day's or somebody has taken it away."""
        family = name[: -len("-YYYY-MM-DD.jsonl")]
        known = self._files.get(family)
        if known and known[0] == name and os.fstat(known[1].fileno()).st_nlink:
            return known[1]
        if known:
            known[1].close()
        private_directory(self.directory)
        file = _open(self.directory / name)
        self._files[family] = (name, file)
        return file

    def _report(self, error: Exception, rows: int) -> None:
        self.lost += rows
        self.last_error = str(error)
        if not self._failing:
            logger.error("the journal can't be written, rows are lost: %s", error)
        self._failing = True
        self._close_files()  # what is wrong may be with these: the next try opens them anew

    def _close_files(self) -> None:
        for _, file in self._files.values():
            with suppress(OSError):
                file.close()
        self._files.clear()


def file_name(row: Row) -> str:
    """The day is the row's own, not the writer's."""
    return f"{_FAMILIES[type(row)]}-{row.timestamp[:10]}.jsonl"


def encode(row: Row) -> bytes:
    """One line. Whatever looks like a key is starred, wherever in the row it stands."""
    values = msgspec.structs.asdict(row)
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    if not may_hold_secret("\n".join(texts.values())):
        with suppress(UnicodeEncodeError):  # lone surrogates, see `_text`
            return msgspec.json.encode(row) + b"\n"
    redacted = {name: _text(value) for name, value in texts.items()}
    return msgspec.json.encode(values | redacted) + b"\n"


def _text(value: str) -> str:
    """Before it is JSON, where a secret in a query would seem to go on behind the closing quote.

    A path may hold any byte; mitmproxy makes lone surrogates of those that are no text, JSON has none.
    """
    return redact(value.encode(errors="backslashreplace").decode())


def _append(file: BinaryIO, data: bytes) -> None:
    """In one write, unless the disk takes only a part."""
    while data:
        data = data[file.write(data) :]


def _open(path: Path) -> BinaryIO:
    """For appending, 0600; unbuffered, so that a killed process leaves at most one torn line.

    One that was left is ended, so that the next row is a line of its own.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    file = os.fdopen(descriptor, "wb", buffering=0)
    try:
        if _is_torn(path, os.fstat(descriptor)):
            file.write(b"\n")
    except OSError:
        file.close()
        raise
    return file


def _is_torn(path: Path, found: os.stat_result) -> bool:
    if not stat.S_ISREG(found.st_mode) or not found.st_size:
        return False
    with path.open("rb") as written:
        written.seek(found.st_size - 1)
        return written.read(1) != b"\n"
