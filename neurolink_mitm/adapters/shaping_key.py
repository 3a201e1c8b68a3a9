"""The key that placeholders are made with: made once, since the same word is to get the same one after a restart."""

from __future__ import annotations

import secrets
from pathlib import Path

from neurolink_mitm.adapters.atomic import write_atomic
from neurolink_mitm.adapters.shared_file import locked, set_aside

LENGTH = 32


def read_key(path: Path) -> bytes:
    """The key, made now if there is none. A broken one is set aside: placeholders are then others.

    Raises:
        OSError: it can't be read or written.
    """
    with locked(path):
        found = _read(path)
        if found is None:
            found = secrets.token_bytes(LENGTH)
            write_atomic(path, found.hex().encode() + b"\n")
        return found


def _read(path: Path) -> bytes | None:
    try:
        key = bytes.fromhex(path.read_text("ascii"))
    except FileNotFoundError:
        return None
    except ValueError:
        key = b""
    if len(key) == LENGTH:
        return key
    set_aside(path)
    return None
