"""The zip file of a report."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path


def write_bundle(path: Path, contents: Mapping[str, str]) -> None:
    """Readable by its owner only. Raises `FileExistsError` where there is a file already, else `OSError`."""
    data = BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in contents.items():
            archive.writestr(name, text)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data.getbuffer())
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise


def tail(path: Path, count: int, most: int = 1_000_000) -> list[str]:
    """The last lines of a text file, of its last `most` bytes; none where it can't be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most))
            data = file.read(most)
    except OSError:
        return []
    lines = data.decode("utf-8", "replace").splitlines()
    return lines[1:][-count:] if size > most else lines[-count:]  # the first one may be cut
