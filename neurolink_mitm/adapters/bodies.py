"""Reads captured bodies.

Writes captured bodies, redacted and compressed, on a thread of its own: `bodies/DATE/REQUEST-ID/*.json.gz`.
"""

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

_LARGEST = 8 * LIMIT
"""Bytes of a document: what is no text takes up to four times its size, and is a text in JSON besides."""


def read_body(logs: Path, path: object) -> Document | None:
    """None where it is not there any more, or not whole, or somewhere else than bodies are."""
    place = logs / "bodies"
    if not isinstance(path, str) or not (logs / path).resolve().is_relative_to(place.resolve()):
        return None
    try:
        with gzip.open(logs / path, "rb") as file:
            return read_document(file.read(_LARGEST))
    except (OSError, EOFError, zlib.error, ValueError):
        return None


logger = logging.getLogger("neurolink.journal")

BODIES = "bodies"
BACKLOG = 64 * 1024 * 1024
"""Bytes that wait to be written at most."""
REMEMBERED = 500
"""Secrets that are looked for, the newest."""
_OVERHEAD = 2048
"""Bytes that one without a body counts as."""
_LEVEL = 3
"""Of compression: half the time of the usual 6, for a twentieth more bytes."""


class FileBodies:
    """Takes what was captured at once; what there is no room for is counted as lost, never waited for.

    A row is written when its body is whole on disk, so that each row leads to a body that can be read. `secrets` are
    starred whatever they look like, and those too that were among them earlier: tokens are renewed.
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
        self._known: dict[Secret, None] = {}
        self._journal = journal
        self._backlog = backlog
        self._waiting = 0
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Captured | None] = queue.SimpleQueue()
        self._thread: Worker | None = None

    def capture(self, captured: Captured) -> None:
        cost = _cost(captured)
        with self._lock:
            fits = self._waiting + cost <= self._backlog
            self._waiting += cost if fits else 0
        if not fits:
            self._journal.lose_body("the disk is too slow for captured bodies")
            return
        self._remember()
        if self._thread is None:  # where nothing is captured there is no thread
            self._thread = Worker(self._run, "bodies")
        self._queue.put(captured)

    def _remember(self) -> None:
        """Here, where they don't change meanwhile."""
        known = dict.fromkeys(self._secrets())
        if not known.keys() <= self._known.keys():
            newest = [*known, *(each for each in self._known if each not in known)]
            self._known = dict.fromkeys(newest[:REMEMBERED])  # anew: the thread reads the other

    def close(self, timeout: float = 5.0) -> None:
        """Write what is left, within `timeout` seconds."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.end(timeout)
            self._thread = None

    def _run(self) -> None:
        while (captured := self._queue.get()) is not None:
            try:
                with short_switch_interval():
                    self._write(captured)
            except Exception as e:  # whatever is odd about one body must not end the others
                self._journal.lose_body(f"{type(e).__name__}: {e}")
            with self._lock:
                self._waiting -= _cost(captured)

    def _write(self, captured: Captured) -> None:
        known = encoded_forms(self._known)
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
