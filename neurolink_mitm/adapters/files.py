"""Files that are whole at every moment, whatever happens: the old content or the new one.

Files that several processes write: a lock between them, and what becomes of one that is broken.

Compare-and-swap edits: of a file that other programs write, too, and without a lock of ours.
"""

from __future__ import annotations

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


TRIES = 20
"""Of a change while another program keeps writing the file."""
LARGEST = 10_000_000

Change = Callable[[str | None], str | None]
"""From the file's text to the new one; None is a file that is not there."""


class ChangedError(Exception):
    """Another program wrote the file just now."""


def edit(path: Path, change: Change) -> None:
    """Replace the text of `path` by what `change` makes of it, as long as nobody else writes it meanwhile.

    If somebody does, `change` is asked again with what is there then. Links are followed and stay, the mode stays,
    every byte that `change` leaves alone stays.

    Raises:
        ValueError: it is no UTF-8, or too large, or `change` does not want it.
        OSError: it can't be read or written.
    """
    for _ in range(TRIES):
        seen = read(path)
        text = change(None if seen is None else seen.decode("utf-8"))
        wanted = None if text is None else text.encode("utf-8")
        if wanted == seen:
            return
        with suppress(ChangedError):
            sweep(Path(os.path.realpath(path)), older=60.0)
            compare_and_swap(path, seen, wanted)
            return
    raise OSError(None, "another program keeps writing it", str(path))


def read(path: Path, largest: int = LARGEST) -> bytes | None:
    """Return the content; None if there is no file. Raises `ValueError` if it has more than `largest` bytes."""
    try:
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except FileNotFoundError:
        return None
    if len(data) > largest:
        raise ValueError(f"larger than {largest} bytes")
    return data


def compare_and_swap(
    path: Path, seen: bytes | None, wanted: bytes | None, mode: int | None = None
) -> None:
    """Replace the content `seen` by `wanted`; None is a file that is not there. The mode stays unless `mode` is given.

    Raises `ChangedError` if the content is another by now.
    """

    def check() -> None:
        if read(path) != seen:
            raise ChangedError

    target = Path(os.path.realpath(path))
    if wanted is None:
        check()
        target.unlink()
        return
    if mode is None:
        mode = 0o600 if seen is None else stat.S_IMODE(target.stat().st_mode)
    write_atomic(target, wanted, mode, check)
