"""Writes captured bodies, masked and compressed, on a thread (`bodies/DATE/REQUEST-ID/*.json.gz`), and reads them."""

from __future__ import annotations

import gzip
import logging
import os
import queue
import threading
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from neurolink_mitm.adapters.background import Worker
from neurolink_mitm.adapters.files import private_directory
from neurolink_mitm.adapters.journal import FileJournal
from neurolink_mitm.core.logs.capture import (
    LIMIT,
    Captured,
    Document,
    debug_row,
    document,
    read_document,
)
from neurolink_mitm.core.redact.known_secrets import encoded_forms
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.dataplane.threads import short_switch_interval

logger = logging.getLogger("neurolink.journal")

BODIES = "bodies"
BACKLOG = 64 * 1024 * 1024
"""Bytes that wait to be written; further bodies are lost."""
MAX_SECRETS = 500
"""Secrets that are masked whatever their form, the newest."""
_OVERHEAD = 2048
"""Bytes of the backlog that each side takes beside its body."""
_LEVEL = 3
"""gzip's level: half the time of the usual 6, for a twentieth more bytes."""
_MAX_DOCUMENT = 8 * LIMIT
"""Bytes of a document that are read: bytes that are no text take four times their size, and more within JSON."""


def read_body(logs: Path, path: object) -> Document | None:
    """Return a captured body; None if it is deleted, torn, no file, or not below `BODIES`."""
    if not isinstance(path, str):
        return None
    try:
        place = (logs / path).resolve()
        if not place.is_relative_to((logs / BODIES).resolve()) or not place.is_file():
            return None  # a FIFO would be waited for
        with gzip.open(place, "rb") as file:
            return read_document(file.read(_MAX_DOCUMENT))
    except (OSError, EOFError, zlib.error, ValueError, RuntimeError):  # the last: links in a circle
        return None


class FileBodies:
    """Writes captured sides; it never blocks: a side beyond the backlog is counted as lost.

    A row is written after its body, so that its body can be read. The current `secrets` and earlier ones are masked
    whatever their form: tokens are renewed.
    """

    def __init__(
        self,
        directory: Path,
        journal: FileJournal,
        backlog: int = BACKLOG,
        secrets: Callable[[], Iterable[Secret]] = tuple,
    ) -> None:
        self.directory = directory
        self._secrets = secrets
        self._current: tuple[Secret, ...] = ()
        self._masked: dict[Secret, None] = {}
        self._journal = journal
        self._backlog = backlog
        self._waiting = 0
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Captured | None] = queue.SimpleQueue()
        self._thread: Worker | None = None

    def capture(self, captured: Captured) -> None:
        """Queue one side to be written."""
        cost = _cost(captured)
        with self._lock:
            fits = self._waiting + cost <= self._backlog
            self._waiting += cost if fits else 0
        if not fits:
            self._journal.lose_body("the disk is too slow for captured bodies")
            return
        self._update_secrets()
        if self._thread is None:  # no capture, no thread
            self._thread = Worker(self._run, "bodies")
        self._queue.put(captured)

    def _update_secrets(self) -> None:
        """Add the current secrets, on the event loop, where they don't change meanwhile."""
        secrets = tuple(self._secrets())
        same, self._current = secrets == self._current, secrets
        if same:
            return
        current = dict.fromkeys(secrets)
        if not current.keys() <= self._masked.keys():
            newest = [*current, *(each for each in self._masked if each not in current)]
            self._masked = dict.fromkeys(
                newest[:MAX_SECRETS]
            )  # a new one: the thread reads the other

    def close(self, timeout: float = 5.0) -> None:
        """Write the waiting sides, within `timeout` seconds."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.end(timeout)
            self._thread = None

    def _run(self) -> None:
        while (captured := self._queue.get()) is not None:
            try:
                with short_switch_interval():
                    self._write(captured)
            except Exception as e:  # one body must not end the thread
                self._journal.lose_body(f"{type(e).__name__}: {e}")
            with self._lock:
                self._waiting -= _cost(captured)

    def _write(self, captured: Captured) -> None:
        known = encoded_forms(self._masked)
        row, body = debug_row(captured, known), captured.body
        if body and body.content and body.path is None:
            name = f"{captured.attempt or 0}-{captured.phase.value.replace('_', '-')}.json.gz"
            path = Path(BODIES, row.timestamp[:10], captured.request_id, name)
            packed = gzip.compress(document(body, captured.fields, known), _LEVEL, mtime=0)
            _create(self.directory / path, packed)
            body.path = str(path)
        self._journal.debug(debug_row(captured, known))


def _cost(captured: Captured) -> int:
    return _OVERHEAD + (len(captured.body.content) if captured.body else 0)


def _create(path: Path, data: bytes) -> None:
    private_directory(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
