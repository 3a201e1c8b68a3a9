"""Other tools, each installed once, in the version that the tests were written with: Codex, Aider, Continue."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache"
"""Kept between runs: each is between 80 and 700 MB."""
CODEX, CONTINUE, AIDER = "@openai/codex@0.171.0", "@continuedev/cli@1.5.47", "aider-chat==0.86.2"
AIDERS_PYTHONS = ("3.12", "3.11")
"""Under 3.13 pip takes an Aider of 2024."""


def codex() -> Path:
    """Return the command; the test is skipped where it can't be had."""
    return _of_npm(CODEX) / "codex"


def continue_() -> Path:
    return _of_npm(CONTINUE) / "cn"


def aider() -> Path:
    folder = CACHE / AIDER.replace("==", "-")
    python = str(folder / "bin" / "python")
    # compiled at the first start instead: half of the time of the installation
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-compile"]
    return (
        _installed(folder, lambda: [[_python(), "-m", "venv", str(folder)], [*pip, AIDER]])
        / "bin"
        / "aider"
    )


def _of_npm(package: str) -> Path:
    folder = CACHE / package.strip("@").replace("/", "-").replace("@", "-")
    npm = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", package]
    return _installed(folder, lambda: [npm]) / "node_modules" / ".bin"


def _installed(folder: Path, commands: Callable[[], Sequence[Sequence[str]]]) -> Path:
    """Run what installs it, unless that was done; tests may run side by side."""
    CACHE.mkdir(exist_ok=True)
    done = folder / "installed"
    with FileLock(f"{folder}.lock", timeout=500):
        if not done.exists():
            folder.mkdir(exist_ok=True)
            try:
                for command in commands():
                    subprocess.run(command, check=True, capture_output=True, timeout=400)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as e:
                pytest.skip(f"{folder.name} can't be installed: {e}")
            done.touch()
    return folder


def _python() -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    found = subprocess.run(
        [ROOT / "tools" / "find-python", *AIDERS_PYTHONS],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if found.returncode:
        pytest.skip(f"Aider needs Python {' or '.join(AIDERS_PYTHONS)}")
    return found.stdout.strip()
