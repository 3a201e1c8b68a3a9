"""`pauses.json`: which accounts are paused, until when, and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from neurolink_mitm.adapters.files import locked, read, write_atomic
from neurolink_mitm.core.pool.pauses import Pause, encode_pauses, parse_pauses

LARGEST = 1_000_000


class PauseFileError(ValueError):
    """The file can't be used; the text is one line. It is never overwritten."""


def read_pauses(path: Path) -> Mapping[str, Pause]:
    """Return the pauses by account key; none if the file is missing. Raises `PauseFileError`."""
    try:
        data = read(path, LARGEST)
        return {} if data is None else parse_pauses(data)
    except OSError as e:
        raise PauseFileError(f"{path}: can't be read: {e.strerror}") from e
    except ValueError as e:
        raise PauseFileError(f"{path}: is broken: {e}; repair it, or delete it") from e


def pause(path: Path, key: str, pause: Pause, now: float) -> None:
    """Pause an account. Raises `PauseFileError`, `OSError`."""
    with locked(path):
        write_atomic(path, encode_pauses({**read_pauses(path), key: pause}, now))


def resume(path: Path, key: str, now: float) -> bool:
    """End the pause of an account; return whether there was one. Raises `PauseFileError`, `OSError`."""
    if not path.exists():
        return False
    with locked(path):
        pauses = dict(read_pauses(path))
        ended = pauses.pop(key, None)
        if ended is not None:
            write_atomic(path, encode_pauses(pauses, now))
    return ended is not None and not ended.over(now)
