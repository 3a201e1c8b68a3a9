"""`pauses.json`: which accounts are paused, until when, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from neurolink_mitm.adapters.files import locked, read, write_atomic
from neurolink_mitm.core.pool.pauses import Pause, encode_pauses, parse_pauses

LARGEST = 1_000_000

Check = Callable[[Pause | None], object]
"""Is called with the pause that an account has, before it is changed."""


class PauseFileError(ValueError):
    """The file can't be used; the text is one line. It is never overwritten."""


def any_pause(_: Pause | None) -> None:
    """Let a pause be changed, whatever it is."""


def read_pauses(path: Path) -> Mapping[str, Pause]:
    """Return the pauses by account key; none if the file is missing. Raises `PauseFileError`."""
    try:
        data = read(path, LARGEST)
        return {} if data is None else parse_pauses(data)
    except OSError as e:
        raise PauseFileError(f"{path}: can't be read: {e.strerror}") from e
    except ValueError as e:
        raise PauseFileError(f"{path}: is broken: {e}; repair it, or delete it") from e


def pause(path: Path, key: str, pause: Pause, now: float, check: Check = any_pause) -> Pause | None:
    """Pause an account; return the pause that it had. Raises `PauseFileError`, `OSError`, and what `check` raises."""
    with locked(path):
        pauses = read_pauses(path)
        before = _lasting(pauses.get(key), now)
        check(before)
        write_atomic(path, encode_pauses({**pauses, key: pause}, now))
    return before


def resume(path: Path, key: str, now: float, check: Check = any_pause) -> Pause | None:
    """End the pause of an account; return the one that it had. Raises as `pause` does."""
    if not path.exists():
        check(None)
        return None
    with locked(path):
        pauses = dict(read_pauses(path))
        written = pauses.pop(key, None)
        before = _lasting(written, now)
        check(before)
        if written is not None:
            write_atomic(path, encode_pauses(pauses, now))
    return before


def replace_pauses(
    path: Path, chosen: Callable[[Mapping[str, Pause]], Mapping[str, Pause | None]], now: float
) -> None:
    """Replace or remove (None) the pauses that `chosen` returns for those there are. Raises as `pause` does."""
    with locked(path):
        before = read_pauses(path)
        after = {**before, **chosen(before)}
        if after != before:
            lasting = {key: pause for key, pause in after.items() if pause is not None}
            write_atomic(path, encode_pauses(lasting, now))


def _lasting(pause: Pause | None, now: float) -> Pause | None:
    return None if pause is None or pause.over(now) else pause
