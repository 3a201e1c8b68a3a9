"""Probes of files: the home directory, state files, free disk space and leftovers."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from neurolink_mitm.adapters import system
from neurolink_mitm.adapters.files import read
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.core.status.probe_results import FileProbe


def probe_home(home: Home | None) -> FileProbe | None:
    """Probe the home directory; None if the environment names none."""
    if home is None:
        return None
    place = _place(home.root)
    if place.mode is None or place.fault:
        return place
    if not home.root.is_dir():
        return replace(place, fault="is not a directory")
    if not os.access(home.root, os.R_OK | os.W_OK | os.X_OK):
        return replace(place, fault="you may not read and write it")
    return place


def probe_files(home: Home, tokens_fault: str | None) -> Iterator[FileProbe]:
    """Probe the files that only their owner may read."""
    for path in (
        home.legacy_credentials, home.state, home.quotas, home.cooldowns, home.claude_settings,
        home.clients, home.spend, home.editor_settings, home.claude_choices, home.pauses,
    ):  # fmt: skip
        yield _checked(path)
    tokens = _place(home.tokens)
    yield replace(tokens, fault=tokens_fault or tokens.fault)
    yield _place(home.env)
    yield from (_place(path) for path in _listed(home.logs, "*.jsonl"))


def disk_free(home: Home | None) -> int | None:
    """Return the free bytes on the disk of `home`, which may not exist yet."""
    return None if home is None else system.disk_free(home.root)


def leftovers(home: Home) -> Iterable[str]:
    """Return the names of files that were set aside, or left by a killed writer."""
    return sorted(
        path.name for pattern in ("*.corrupt-*", ".*.tmp") for path in _listed(home.root, pattern)
    )


def _checked(path: Path) -> FileProbe:
    """Probe a JSON file and its content."""
    place = _place(path)
    if place.mode is None or place.fault:
        return place
    try:
        json.loads(read(path) or b"")
    except OSError as e:
        return replace(place, fault=f"can't be read: {e.strerror}")
    except (ValueError, RecursionError):
        return replace(place, fault="is no JSON")
    return place


def _place(path: Path) -> FileProbe:
    try:
        return FileProbe(str(path), stat.S_IMODE(path.stat().st_mode))
    except FileNotFoundError:
        return FileProbe(str(path))
    except OSError as e:
        return FileProbe(str(path), fault=e.strerror or "can't be looked at")


def _listed(directory: Path, pattern: str) -> list[Path]:
    try:
        return sorted(directory.glob(pattern))
    except OSError:
        return []
