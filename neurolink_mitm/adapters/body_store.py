"""Writes captured bodies, redacted and compressed, on a thread of its own: `bodies/DATE/REQUEST-ID/*.json.gz`."""

from __future__ import annotations

import gzip
import logging
import os
import queue
import threading
from pathlib import Path

from neurolink_mitm.adapters.atomic import private_directory
from neurolink_mitm.adapters.journal import FileJournal
from neurolink_mitm.core.capture import Captured, debug_row, document

logger = logging.getLogger("neurolink.journal")

BODIES = "bodies"
BACKLOG = 64 * 1024 * 1024
"""Bytes that wait to be written at most."""
_OVERHEAD = 2048
"""Bytes that one without a body counts as."""
_LEVEL = 3
"""Of compression: half the time of the usual 6, for a twentieth more bytes."""


class FileBodies:
    """Takes what was captured at once; what there is no room for is counted as lost, never waited for.

    A row is written when its body is whole on disk, so that each row leads to a body that can be read.
    """

    def __init__(self, directory: Path, journal: FileJournal, backlog: int = BACKLOG) -> None:
        self.directory = directory
        self._journal = journal
        self._backlog = backlog
        self._waiting = 0
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Captured | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def capture(self, captured: Captured) -> None:
        cost = _cost(captured)
        with self._lock:
            fits = self._waiting + cost <= self._backlog
            self._waiting += cost if fits else 0
        if not fits:
            self._journal.lose_body("the disk is too slow for captured bodies")
            return
        if self._thread is None:  # where nothing is captured there is no thread
            self._thread = threading.Thread(target=self._run, name="bodies", daemon=True)
            self._thread.start()
        self._queue.put(captured)

    def close(self, timeout: float = 5.0) -> None:
        """Write what is left, within `timeout` seconds."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(timeout)
            self._thread = None

    def _run(self) -> None:
        while (captured := self._queue.get()) is not None:
            try:
                self._write(captured)
            except Exception as e:  # whatever is odd about one body must not end the others
                self._journal.lose_body(f"{type(e).__name__}: {e}")
            with self._lock:
                self._waiting -= _cost(captured)

    def _write(self, captured: Captured) -> None:
        row, body = debug_row(captured), captured.body
        if body and body.content and body.path is None:
            name = f"{captured.attempt or 0}-{captured.phase.value.replace('_', '-')}.json.gz"
            path = Path(BODIES, row.timestamp[:10], captured.request_id, name)
            packed = gzip.compress(document(body, captured.fields), _LEVEL, mtime=0)
            _create(self.directory / path, packed)
            body.path = str(path)
        self._journal.debug(debug_row(captured))


def _cost(captured: Captured) -> int:
    return _OVERHEAD + (len(captured.body.content) if captured.body else 0)


def _create(path: Path, data: bytes) -> None:
    private_directory(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
