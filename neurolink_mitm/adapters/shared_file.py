"""Files that several processes write: a lock between them, and what becomes of one that is broken."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from filelock import FileLock

logger = logging.getLogger("neurolink.files")

LOCK_LIMIT = 5.0


def locked(path: Path) -> FileLock:
    """A lock between processes on a file; taking it raises `OSError` after 5 s."""
    return FileLock(f"{path}.lock", timeout=LOCK_LIMIT, mode=0o600)


def set_aside(path: Path) -> None:
    """Keep a file that can't be parsed under another name: it is never overwritten."""
    aside = path.with_name(f"{path.name}.corrupt-{int(time.time())}")
    try:
        path.rename(aside)
    except OSError as e:
        logger.error("%s is broken and can't be set aside: %s", path, e.strerror)
    else:
        logger.error("%s was broken; it is kept as %s", path, aside.name)
