"""Files that are whole at every moment, whatever happens: the old content or the new one."""

from __future__ import annotations

import glob
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def write_atomic(
    path: Path, data: bytes, mode: int = 0o600, check: Callable[[], None] | None = None
) -> None:
    """Replace the content of `path`, durably, following symbolic links. Raises `OSError`.

    The temporary file lies beside the target and is 0600 from its first byte, whatever the umask;
    `mode` is set once everything is written. What `check` raises at the last moment leaves all as it was.
    """
    target = Path(os.path.realpath(path))
    descriptor, temporary = tempfile.mkstemp(
        dir=target.parent, prefix=f".{target.name}.", suffix=".tmp"
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        if check:
            check()
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_directory(target.parent)


def private_directory(path: Path) -> None:
    """Make it, and whatever is missing above it, for its owner alone. Raises `OSError`.

    `Path.mkdir` gives its mode to the last one only: those above are open to whom the umask lets in.
    """
    for above in reversed(path.parents):
        if not above.exists():
            above.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


def sweep(path: Path, older: float = 0.0) -> None:
    """Away with what writers of `path` left that were killed.

    Who is not alone in writing it names an age, in seconds, that no writer needs.
    """
    target = Path(os.path.realpath(path))
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime >= older:
                left.unlink()


def _sync_directory(directory: Path) -> None:
    """Make the new name durable as well."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # some network file systems refuse it; the data itself is on disk by now
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
