"""Writes the journal: rows go through a bounded queue to a thread that appends them to the day's files."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections import defaultdict
from pathlib import Path

import msgspec

from neurolink_mitm.core.record import AttemptRow, RequestRow
from neurolink_mitm.core.redaction import redact

logger = logging.getLogger("neurolink.journal")

Row = RequestRow | AttemptRow
BACKLOG = 10_000
_BATCH = 500


class FileJournal:
    """`proxy-DATE.jsonl` and `proxy-attempts-DATE.jsonl` under one directory, 0600, one JSON object a line.

    A row is taken or, when the disk is so slow that the backlog is full, counted as lost: never waited for.
    A disk that fails is reported once, and once more when it is back.
    """

    def __init__(self, directory: Path, backlog: int = BACKLOG) -> None:
        self.directory = directory
        self.lost = 0
        self._rows: queue.Queue[Row | None] = queue.Queue(backlog)
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def request(self, row: RequestRow) -> None:
        self._put(row)

    def attempt(self, row: AttemptRow) -> None:
        self._put(row)

    def close(self, timeout: float = 5.0) -> None:
        """Write what is left, within `timeout` seconds."""
        try:
            self._rows.put(None, timeout=timeout)
        except queue.Full:
            return
        self._thread.join(timeout)

    def _put(self, row: Row) -> None:
        try:
            self._rows.put_nowait(row)
        except queue.Full:
            self.lost += 1

    def _run(self) -> None:
        while (first := self._rows.get()) is not None:
            batch, ended = self._more(first)
            self._write(batch)
            if ended:
                return

    def _more(self, first: Row) -> tuple[list[Row], bool]:
        """What else is waiting, so that a busy proxy costs one write for many rows."""
        batch = [first]
        while len(batch) < _BATCH:
            try:
                row = self._rows.get_nowait()
            except queue.Empty:
                break
            if row is None:
                return batch, True
            batch.append(row)
        return batch, False

    def _write(self, batch: list[Row]) -> None:
        lines: defaultdict[str, list[bytes]] = defaultdict(list)
        for row in batch:
            lines[file_name(row)].append(encode(row))
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, rows in lines.items():
                _append(self.directory / name, b"".join(rows))
        except OSError as e:
            self._report(e, len(batch))
        else:
            self._failing = False

    def _report(self, error: OSError, rows: int) -> None:
        self.lost += rows
        if not self._failing:
            logger.error("the journal can't be written, rows are lost: %s", error)
        self._failing = True


def file_name(row: Row) -> str:
    """The day is the row's own, not the writer's."""
    family = "proxy" if isinstance(row, RequestRow) else "proxy-attempts"
    return f"{family}-{row.timestamp[:10]}.jsonl"


def encode(row: Row) -> bytes:
    """One line. Whatever looks like a key is starred, wherever in the row it stands."""
    return redact(msgspec.json.encode(row).decode()).encode() + b"\n"


def _append(path: Path, data: bytes) -> None:
    """One write, so that a killed process leaves at most one torn line."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        written = file.write(data)
        while written is not None and written < len(data):
            data = data[written:]
            written = file.write(data)
