"""Compare-and-swap edits: of a file that other programs write, too, and without a lock of ours."""

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
