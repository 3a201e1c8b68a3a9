"""Installs the peers into a cache folder, each in the version that is named here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

ROUTER = "@musistudio/claude-code-router"
ROUTER_VERSION = "2.0.0"
LIMIT = 900.0
"""Seconds that an installation may take."""


class PeerError(Exception):
    """A peer can't be installed or started; the text is for people."""


def cache() -> Path:
    """Return the folder for all peers."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "neurolink-peers"


def litellm() -> Path:
    """Return LiteLLM's program, in the version that NeuroLink uses. Raises `PeerError`."""
    version = metadata.version("litellm")
    venv = cache() / f"litellm-{version}"
    program = venv / "bin" / "litellm"
    if not program.exists():
        _run([sys.executable, "-m", "venv", str(venv)])
        pip = [
            str(venv / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "-qq",
            "--disable-pip-version-check",
        ]
        _run([*pip, f"litellm[proxy]=={version}"])
    return program


def router() -> list[str]:
    """Return the command of claude-code-router. Raises `PeerError`."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        raise PeerError("claude-code-router needs node and npm")
    folder = cache() / f"router-{ROUTER_VERSION}"
    script = folder / "node_modules" / ROUTER / "dist" / "cli.js"
    if not script.exists():
        folder.mkdir(parents=True, exist_ok=True)
        options = ["--prefix", str(folder), "--no-audit", "--no-fund", "--silent"]
        _run([npm, "install", *options, f"{ROUTER}@{ROUTER_VERSION}"])
    return [node, str(script)]


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise PeerError(f"{command[0]}: {e}") from e
    if done.returncode:
        raise PeerError(f"{' '.join(command)}\n{done.stderr[-2000:]}")
