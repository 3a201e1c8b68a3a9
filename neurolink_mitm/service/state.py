"""Whether the proxy is installed as a service of this user, and whether that runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from neurolink_mitm.core.status.probe_results import Service
from neurolink_mitm.service.units import LABEL, UNIT

LIMIT = 5.0


def service_state(environ: Mapping[str, str], platform: str = sys.platform) -> Service | None:
    """None where there are no services that we know of."""
    user = environ.get("HOME")
    if not user:
        return None
    if platform == "darwin":
        path = Path(user, "Library", "LaunchAgents", f"{LABEL}.plist")
        return _asked(path, ["launchctl", "print", f"gui/{os.getuid()}/{LABEL}"], environ)
    if platform.startswith("linux"):
        configured = Path(environ.get("XDG_CONFIG_HOME") or f"{user}/.config")
        path = configured / "systemd" / "user" / UNIT
        return _asked(path, ["systemctl", "--user", "is-active", UNIT], environ)
    return None


def _asked(path: Path, question: Sequence[str], environ: Mapping[str, str]) -> Service:
    if not path.exists():
        return Service(str(path))
    try:
        done = subprocess.run(
            question, capture_output=True, text=True, timeout=LIMIT, check=False, env=dict(environ)
        )
    except (OSError, subprocess.SubprocessError):
        return Service(str(path), True)
    return Service(str(path), True, _runs(done.stdout, done.returncode))


def _runs(said: str, code: int) -> bool | None:
    """systemd says so in a word, and on stderr only where nobody could be asked; launchd's text has a line for it."""
    if not said.strip():
        return False if code == 113 else None  # launchd: no such service
    return said.strip() in ("active", "activating", "reloading") or "state = running" in said
