"""Logs that a process writes to as its output are kept short, whoever writes them and however fast.

What is too long is copied to `NAME.1` and cut to nothing in its place: the writer keeps its descriptor, needs no
signal and opens nothing anew. That asks for writers that append; those of ours do, and `append` sees to it.
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
"""Seconds between two looks."""
MOST = {
    "service.log": 5_000_000,
    "translator.log": 1_000_000,
    "guard.log": 1_000_000,
    "stalls.log": 1_000_000,
}
"""Bytes of each, beyond which it is cut."""
_CHUNK = 1 << 20


async def keep_logs_short(directory: Path, every: float = EVERY) -> None:
    """Until it is cancelled."""
    append(directory)
    while True:
        await asyncio.to_thread(trim_all, directory)
        await asyncio.sleep(every)


def trim_all(directory: Path) -> None:
    for name in MOST:
        trim(directory / name)


def trim(path: Path, most: int | None = None) -> bool:
    """Whether it was too long. Does not raise: a log is not worth it."""
    most = MOST.get(path.name, MOST["service.log"]) if most is None else most
    try:
        if path.stat().st_size <= most:
            return False
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return _trim(descriptor, path, most)
    except OSError:  # another process is at it
        return False
    finally:
        os.close(descriptor)


def _trim(descriptor: int, path: Path, most: int) -> bool:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size <= most:
        return False
    aside = path.with_name(f"{path.name}.1")
    try:
        _copy(descriptor, aside, found.st_size - most if found.st_size > 2 * most else 0)
    except OSError as e:  # a full disk is one more reason to cut it
        logger.warning("what was in %s is lost: %s", path, e.strerror)
        with suppress(OSError):
            aside.unlink()
    os.ftruncate(descriptor, 0)
    return True


def _copy(descriptor: int, target: Path, start: int) -> None:
    """From there to the end, as it is by then; 0600, and whole or not at all."""
    unfinished = target.with_name(f".{target.name}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with open(os.open(unfinished, flags, 0o600), "wb") as file:
        while data := os.pread(descriptor, _CHUNK, start):
            start += len(data)
            file.write(data)
    os.replace(unfinished, target)


def open_log(path: Path) -> int:
    """A descriptor to append to it, shortened first; 0600 from its first byte. Raises `OSError`."""
    private_directory(path.parent)
    trim(path)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def append(directory: Path, descriptors: Iterable[int] = (1, 2)) -> None:
    """Let this process's output append where it goes to one of these logs, however that was opened."""
    logs = set()
    for name in MOST:
        with suppress(OSError):
            found = (directory / name).stat()
            logs.add((found.st_dev, found.st_ino))
    for descriptor in descriptors:
        with suppress(OSError):
            found = os.fstat(descriptor)
            if (found.st_dev, found.st_ino) in logs:
                flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
                fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)
