"""Where VS Code and its kin keep the user's `settings.json`, and whether it may be changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

EDITORS = ("Code", "Code - Insiders", "VSCodium", "Cursor")
"""Names of their folders: https://code.visualstudio.com/docs/configure/settings#_settings-file-locations"""
SERVERS = (".vscode-server", ".vscode-server-insiders", ".cursor-server")
"""Folders of the part that runs on this machine for a window elsewhere: WSL, SSH, containers."""


def settings_files(environ: Mapping[str, str], platform: str) -> tuple[Path, ...]:
    """Return the settings of the editors that are installed, whether the files exist or not; the likeliest first."""
    user = environ.get("HOME")
    if not user:
        return ()
    return tuple(path for path in _places(Path(user), environ, platform) if path.parent.is_dir())


def _places(user: Path, environ: Mapping[str, str], platform: str) -> Iterator[Path]:
    if platform == "darwin":
        base = user / "Library" / "Application Support"
    else:
        base = Path(environ.get("XDG_CONFIG_HOME") or user / ".config")
    for name in EDITORS:
        yield base / name / "User" / "settings.json"
    for name in SERVERS:
        yield user / name / "data" / "Machine" / "settings.json"


def fault(path: Path) -> str | None:
    """Return why `path` must not be changed: no folder, or read-only. What is in it is judged when it is read."""
    try:
        if not path.parent.is_dir():
            return f"{path.parent} is no directory"
        mode = path.stat().st_mode
    except FileNotFoundError:
        return f"{path} leads nowhere" if path.is_symlink() else None
    except OSError as e:
        return f"{path} can't be read: {e.strerror}"
    if not mode & stat.S_IWUSR or not os.access(path, os.W_OK):
        return f"{path} is read-only"
    return None
