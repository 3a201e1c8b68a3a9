"""Writes rows of the logs: through a bounded queue to a thread that appends them to the day's files."""

from __future__ import annotations

import logging
import os
import stat
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from neurolink_mitm.adapters.background import Worker
from neurolink_mitm.adapters.batches import Batches
from neurolink_mitm.adapters.files import private_directory
from neurolink_mitm.core.logs.capture import encodable
from neurolink_mitm.core.logs.rows import AttemptRow, DebugRow, RequestRow
from neurolink_mitm.core.redact.text import may_hold_secret, redact

logger = logging.getLogger("neurolink.journal")

Row = RequestRow | AttemptRow | DebugRow
_Line = tuple[str, bytes]
"""The name of the file, and the bytes to append."""
_FAMILIES = {RequestRow: "proxy", AttemptRow: "proxy-attempts", DebugRow: "proxy-debug"}
GATHER = 0.01
"""Seconds in which further rows gather after a write; a proxy that is killed loses the rows of as many."""
BACKLOG = 10_000
"""Rows that wait to be written; further ones are lost."""


class FileJournal:
    """Appends rows to `FAMILY-DATE.jsonl` in one directory, 0600, one JSON object a line.

    It never blocks: a row beyond the backlog is counted as lost. A disk that fails or is too slow is reported once, and
    once more when it works again.
    """

    def __init__(self, directory: Path, backlog: int = BACKLOG) -> None:
        self.directory = directory
        self.lost = self.bodies_lost = 0
        self.last_error: str | None = None
        self._backlog = backlog
        self._lines = Batches[_Line](GATHER)
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
        """Count a captured body that could not be written."""
        self.bodies_lost += 1
        self.last_error = why
        if self.bodies_lost == 1:
            logger.error("captured bodies are lost: %s", why)

    def report(self) -> dict[str, object]:
        """Return what `/status` says of the journal."""
        lost = {"dropped": self.lost, "bodiesDropped": self.bodies_lost}
        return {**lost, "lastError": self.last_error}

    def close(self, timeout: float = 5.0) -> None:
        """Write the waiting rows, within `timeout` seconds."""
        self._lines.end()
        self._thread.end(timeout)

    def _put(self, row: Row) -> None:
        """Encode and queue a row: the writer's thread would hold up the loop for a whole batch."""
        if len(self._lines) < self._backlog:
            self._lines.put((file_name(row), encode(row)))
            return
        self.lost += 1
        if not self._overrun:
            self._overrun = True
            self.last_error = f"the disk is too slow: {self._backlog} rows wait to be written"
            logger.error("rows of the journal are lost, %s", self.last_error)

    def _run(self) -> None:
        for batch in self._lines:
            self._write(batch)
        self._close_files()

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
        """Return the day's file, which stays open until the next day or its deletion."""
        family = name[: -len("-YYYY-MM-DD.jsonl")]
        open_name, file = self._files.get(family, ("", None))
        if file and open_name == name and os.fstat(file.fileno()).st_nlink:
            return file
        if file:
            file.close()
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
        self._close_files()  # the fault may be in these: the next write opens them again

    def _close_files(self) -> None:
        for _, file in self._files.values():
            with suppress(OSError):
                file.close()
        self._files.clear()


def file_name(row: Row) -> str:
    """Return the name of a row's file, by the day of its timestamp."""
    return f"{_FAMILIES[type(row)]}-{row.timestamp[:10]}.jsonl"


def encode(row: Row) -> bytes:
    """Return a row as a line, with all that has the form of a secret masked."""
    texts = [value for value in msgspec.structs.astuple(row) if isinstance(value, str)]
    if not may_hold_secret("\n".join(texts)):
        with suppress(UnicodeEncodeError):  # lone surrogates, see `encodable`
            return msgspec.json.encode(row) + b"\n"
    values = msgspec.structs.asdict(row)
    # masked before it is JSON, where a secret in a query would seem to go on behind the closing quote
    redacted = {n: redact(encodable(v)) for n, v in values.items() if isinstance(v, str)}
    return msgspec.json.encode(values | redacted) + b"\n"


def _append(file: BinaryIO, data: bytes) -> None:
    """Write `data`, in one call unless the disk takes a part only."""
    while data:
        data = data[file.write(data) :]


def _open(path: Path) -> BinaryIO:
    """Open for appending, 0600; unbuffered, so that a killed process leaves at most one torn line, which is ended."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    file = os.fdopen(descriptor, "wb", buffering=0)
    try:
        if _is_torn(path, os.fstat(descriptor)):
            file.write(b"\n")
    except OSError:
        file.close()
        raise
    return file


def _is_torn(path: Path, status: os.stat_result) -> bool:
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return False
    with path.open("rb") as file:
        file.seek(status.st_size - 1)
        return file.read(1) != b"\n"
