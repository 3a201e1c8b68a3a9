"""`windows.jsonl`: what was used of each account's windows, a line a minute and window, oldest first.

A thread of its own appends to it; when the file grows too large, its older half is dropped. Whatever happens to the
file costs no more than forecasts: they begin anew.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from neurolink_mitm.adapters.background import Worker
from neurolink_mitm.adapters.files import locked, write_atomic
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.pool.readings import SavedReading

logger = logging.getLogger("neurolink.windows")

LARGEST = 4_000_000
"""Bytes of the file, about 40,000 readings."""
EVERY = 5.0
"""Seconds between two writes."""
MOST = 10_000
"""Unwritten readings that are kept while the disk is slow or full."""
_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC


class WindowHistory:
    """Appends readings in a thread of its own. A failed write is logged, but not again until one has succeeded."""

    def __init__(self, path: Path, every: float = EVERY, largest: int = LARGEST) -> None:
        self._path = path
        self._every = every
        self._largest = largest
        self._unwritten: deque[SavedReading] = deque(maxlen=MOST)
        self._there = threading.Event()
        self._closing = threading.Event()
        self._failing = False
        self._thread = Worker(self._run, "window-history")

    def add(self, readings: Sequence[SavedReading]) -> None:
        """Take readings to write. Does not block and does not raise."""
        self._unwritten.extend(readings)
        self._there.set()

    def close(self, timeout: float = 5.0) -> None:
        """Write what is unwritten, within `timeout` seconds."""
        self._closing.set()
        self._there.set()
        self._thread.end(timeout)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._there.wait()
            self._closing.wait(self._every)  # several readings in one write
            self._there.clear()
            self._write()
        self._write()

    def _write(self) -> None:
        lines = []
        while self._unwritten:
            lines.append(msgspec.json.encode(self._unwritten.popleft()))
        if not lines:
            return
        try:
            with locked(self._path):
                _append(self._path, lines)
                if self._path.stat().st_size > self._largest:
                    self._compact()
        except Exception as e:  # the thread goes on, whatever it is
            if not self._failing:
                logger.error("%s can't be written, forecasts begin anew: %s", self._path.name, e)
            self._failing = True
        else:
            self._failing = False

    def _compact(self) -> None:
        """Drop the older half, up to the end of a line."""
        with self._path.open("rb") as file:
            file.seek(-self._largest // 2, os.SEEK_END)
            data = file.read(self._largest)
        write_atomic(self._path, data[data.find(b"\n") + 1 :])


def _append(path: Path, lines: Iterable[bytes]) -> None:
    """Append whole lines, although a write that was cut short may have left a part of one. Raises `OSError`."""
    descriptor = os.open(path, _APPEND, 0o600)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is no regular file")
        os.fchmod(descriptor, 0o600)
        torn = status.st_size and os.pread(descriptor, 1, status.st_size - 1) != b"\n"
        data = memoryview(b"\n" * bool(torn) + b"\n".join(lines) + b"\n")
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


def read_history(path: Path) -> list[SavedReading]:
    """Return the readings in the file; none without one. Lines that are no readings are skipped."""
    try:
        if not path.is_file():
            return []
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LARGEST))
            data = file.read(LARGEST)
    except OSError as e:
        logger.error("%s can't be read: %s", path, e.strerror)
        return []
    decoder = msgspec.json.Decoder(SavedReading)
    readings = []
    for line in data.splitlines():
        try:
            readings.append(decoder.decode(line))
        except UNREADABLE:
            continue
    return readings
