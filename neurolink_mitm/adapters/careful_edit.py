"""Changes a text file that belongs to the user and that other programs write, too."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from neurolink_mitm.adapters.atomic import sweep, write_atomic

TRIES = 20
"""Of a change while another program keeps writing the file."""
LARGEST = 10_000_000

Change = Callable[[str | None], str | None]
"""From the file's text to the new one; None is a file that is not there."""


class _ChangedError(Exception):
    """Somebody else wrote the file just now."""


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
        with suppress(_ChangedError):
            _replace(path, seen, wanted)
            return
    raise OSError(None, "another program keeps writing it", str(path))


def read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    if len(data) > LARGEST:
        raise ValueError(f"larger than {LARGEST} bytes")
    return data


def _replace(path: Path, seen: bytes | None, wanted: bytes | None) -> None:
    def check() -> None:
        if read(path) != seen:
            raise _ChangedError

    target = Path(os.path.realpath(path))
    sweep(target, older=60.0)
    if wanted is None:
        check()
        target.unlink()
    else:
        mode = 0o600 if seen is None else stat.S_IMODE(target.stat().st_mode)
        write_atomic(target, wanted, mode, check)
