"""Writes the audit log: who changed what. Several processes append to it, each row by one call and without a lock."""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurolink_mitm.adapters.files import private_directory
from neurolink_mitm.core.logs.audit import AUDIT, Actor, audit_line, audit_row

logger = logging.getLogger("neurolink.audit")


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit log in the directory `logs`, for what one actor does."""

    logs: Path
    actor: Actor
    clock: Callable[[], float] = time.time

    def record(
        self, action: str, target: str | None = None, before: Any = None, after: Any = None
    ) -> None:
        """Append the row of a change that was made. Raises nothing: a full disk is reported, the change stays."""
        row = audit_row(self.clock(), self.actor, action, target, before, after)
        path = self.logs / f"{AUDIT}-{row.timestamp[:10]}.jsonl"
        try:
            private_directory(self.logs)
            _append(path, audit_line(row))
        except OSError as e:
            reason = e.strerror or e
            logger.error("%s was done, but is not in the audit log: %s: %s", action, path, reason)


def _append(path: Path, line: bytes) -> None:
    """Append a line, 0600; a torn one of a writer before is ended. Raises `OSError`."""
    # without O_NONBLOCK, a FIFO would be waited for
    how = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, how, 0o600)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is no regular file")
        torn = status.st_size and os.pread(descriptor, 1, status.st_size - 1) != b"\n"
        data = b"\n" + line if torn else line
        if os.write(descriptor, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(descriptor)
