"""Trims the logs that processes write as their standard output.

A log beyond its limit is copied to `NAME.1` and truncated in place, so its writer keeps its descriptor and needs no
signal. The writer has to append; `append` makes this process do so.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from neurolink_mitm.adapters.files import private_directory

logger = logging.getLogger("neurolink.files")

EVERY = 1.0
"""Seconds between two checks."""
MAX_BYTES = {
    "service.log": 5_000_000,
    "translator.log": 1_000_000,
    "guard.log": 1_000_000,
    "stalls.log": 1_000_000,
}
_CHUNK = 1 << 20


async def keep_logs_short(directory: Path, every: float = EVERY) -> None:
    """Trim the logs every `every` seconds until cancelled."""
    append(directory)
    while True:
        await asyncio.to_thread(trim_all, directory)
        await asyncio.sleep(every)


def trim_all(directory: Path) -> None:
    """Trim the logs of `MAX_BYTES` in `directory`."""
    for name in MAX_BYTES:
        trim(directory / name)


def trim(path: Path, limit: int | None = None) -> bool:
    """Trim a log beyond `limit` bytes and tell whether it was; errors are ignored."""
    limit = MAX_BYTES.get(path.name, MAX_BYTES["service.log"]) if limit is None else limit
    try:
        if path.stat().st_size <= limit:
            return False
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return _trim(descriptor, path, limit)
    except OSError:  # another process is at it
        return False
    finally:
        os.close(descriptor)


def _trim(descriptor: int, path: Path, limit: int) -> bool:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size <= limit:
        return False
    backup = path.with_name(f"{path.name}.1")
    try:
        _copy(descriptor, backup, status.st_size - limit if status.st_size > 2 * limit else 0)
    except OSError as e:  # a full disk is one more reason to truncate
        logger.warning("what was in %s is lost: %s", path, e.strerror)
        with suppress(OSError):
            backup.unlink()
    os.ftruncate(descriptor, 0)
    return True


def _copy(descriptor: int, target: Path, start: int) -> None:
    """Copy from `start` to the end to `target`, 0600, whole or not at all."""
    unfinished = target.with_name(f".{target.name}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with open(os.open(unfinished, flags, 0o600), "wb") as file:
        while data := os.pread(descriptor, _CHUNK, start):
            start += len(data)
            file.write(data)
    os.replace(unfinished, target)


def open_log(path: Path) -> int:
    """Trim a log and return a descriptor that appends to it; a new file is 0600. Raises `OSError`."""
    private_directory(path.parent)
    trim(path)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def append(directory: Path, descriptors: Iterable[int] = (1, 2)) -> None:
    """Make those of this process's `descriptors` append that write to one of the logs."""
    logs = set()
    for name in MAX_BYTES:
        with suppress(OSError):
            status = (directory / name).stat()
            logs.add((status.st_dev, status.st_ino))
    for descriptor in descriptors:
        with suppress(OSError):
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) in logs:
                flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
                fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)
