"""What of a folder must stay as it is when its files are only read."""

from __future__ import annotations

import os
from pathlib import Path

Snapshot = dict[str, tuple[int, int, bytes]]


def snapshot(place: Path) -> Snapshot:
    """Names, modes, times and bytes of all below `place`; the folders' times show files that came and went."""
    found: Snapshot = {}
    for folder, _, names in os.walk(place):
        for path in (Path(folder), *(Path(folder, name) for name in names)):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (status.st_mode, status.st_mtime_ns, content)
    return found
