"""Atomic writes, file locks, and compare-and-swap edits of files that other programs write too."""

from __future__ import annotations

import errno
import glob
import logging
import os
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

logger = logging.getLogger("neurolink.files")

LOCK_LIMIT = 5.0
"""Seconds to wait for another process's lock."""
TRIES = 20
"""Attempts at an edit while another program keeps writing the file."""
LARGEST = 10_000_000
"""Bytes of a file that is edited."""
ABANDONED = 60.0
"""Seconds after which a temporary file belongs to a writer that was killed."""

Change = Callable[[str | None], str | None]
"""Maps the text of a file to its new text; None stands for a missing file."""


class ChangedError(Exception):
    """Another program wrote the file just now."""


def write_atomic(
    path: Path, data: bytes, mode: int = 0o600, check: Callable[[], None] | None = None
) -> None:
    """Replace the content of the regular file `path`, durably, following symbolic links. Raises `OSError`.

    The temporary file lies beside the target and is 0600 from its first byte, whatever the umask;
    `mode` is set once everything is written. An exception of `check`, called last, leaves all as it was.
    """
    _check_regular(path)
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


def _check_regular(path: Path) -> None:
    """Raise `OSError` if `path` leads to a device, a FIFO or a directory: a plain file would take its place."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        link = f"leads to {os.path.realpath(path)}, which " if path.is_symlink() else ""
        raise OSError(errno.EINVAL, f"{link}is no regular file", str(path))


def _sync_directory(directory: Path) -> None:
    """Make the new name durable as well."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # some network file systems refuse it; the data itself is on disk by now
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def private_directory(path: Path) -> None:
    """Create `path` and its missing parents, each 0700. Raises `OSError`.

    `Path.mkdir(parents=True)` would leave the mode of the parents to the umask.
    """
    for above in reversed(path.parents):
        if not above.exists():
            above.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


def remove_temporaries(path: Path, older: float = 0.0) -> None:
    """Delete temporary files of killed writers of `path`, if they are `older` seconds old.

    Without a lock, `older` has to be longer than any write takes.
    """
    target = Path(os.path.realpath(path))
    for temporary in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        with suppress(OSError):
            if time.time() - temporary.stat().st_mtime >= older:
                temporary.unlink()


def locked(path: Path) -> FileLock:
    """Return a lock between processes on `path`; to take it raises `OSError` after `LOCK_LIMIT` seconds."""
    return FileLock(f"{path}.lock", timeout=LOCK_LIMIT, mode=0o600)


def set_aside(path: Path) -> None:
    """Rename a file that can't be parsed, so that it is never overwritten."""
    aside = path.with_name(f"{path.name}.corrupt-{int(time.time())}")
    try:
        path.rename(aside)
    except OSError as e:
        logger.error("%s is broken and can't be set aside: %s", path, e.strerror)
    else:
        logger.error("%s was broken; it is kept as %s", path, aside.name)


def edit(path: Path, change: Change) -> None:
    """Replace the text of `path` by that of `change`, unless another program writes it meanwhile.

    If one does, `change` is called again with the new text. Symbolic links and the mode stay as they are.

    Raises:
        ValueError: the file is no UTF-8, or too large, or `change` refuses it.
        OSError: the file can't be read or written.
    """
    for _ in range(TRIES):
        old = read(path)
        text = change(None if old is None else old.decode("utf-8"))
        new = None if text is None else text.encode("utf-8")
        if new == old:
            return
        with suppress(ChangedError):
            remove_temporaries(path, older=ABANDONED)
            compare_and_swap(path, old, new)
            return
    raise OSError(None, "another program keeps writing it", str(path))


def read(path: Path, largest: int = LARGEST) -> bytes | None:
    """Return the content of a regular file; None if it is missing.

    Raises:
        ValueError: it has more than `largest` bytes.
        OSError: it can't be read, or is no regular file: a FIFO would be waited for.
    """
    _check_regular(path)
    try:
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except FileNotFoundError:
        return None
    if len(data) > largest:
        raise ValueError(f"larger than {largest} bytes")
    return data


def read_whole(path: Path, largest: int = LARGEST) -> bytes:
    """Return the content of a regular file. Raises as `read` does, and `FileNotFoundError` if it is missing."""
    data = read(path, largest)
    if data is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return data


def compare_and_swap(
    path: Path, old: bytes | None, new: bytes | None, mode: int | None = None
) -> None:
    """Replace the content `old` by `new`; None stands for a missing file. The mode stays unless `mode` is given.

    Raises `ChangedError` if the content is no longer `old`.
    """

    def check() -> None:
        if read(path) != old:
            raise ChangedError

    if new is None:
        check()
        Path(os.path.realpath(path)).unlink()
        return
    if mode is None:
        mode = 0o600 if old is None else stat.S_IMODE(path.stat().st_mode)
    write_atomic(path, new, mode, check)
