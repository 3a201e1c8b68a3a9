"""Claude Code itself, from npm."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

CACHE = Path(__file__).parents[1] / ".cache" / "claude-code"
"""Kept between runs: it is 200 MB."""
BINARY = CACHE / "node_modules" / ".bin" / "claude"


def installed() -> Path:
    """The command, installed once; the test is skipped where npm can't get it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE.parent / "claude-code.lock", timeout=400):  # tests may run side by side
        return _installed()


def _installed() -> Path:
    if not BINARY.exists():
        (CACHE / "package.json").write_text('{"private": true}')
        package = CACHE / "node_modules" / "@anthropic-ai" / "claude-code"
        try:
            _run(["npm", "install", "--no-audit", "--no-fund", "@anthropic-ai/claude-code"], 240)
            _run(["node", str(package / "install.cjs")], 120)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as e:
            pytest.skip(f"Claude Code can't be had from npm: {e}")
    return BINARY


def _run(command: list[str], limit: float) -> None:
    subprocess.run(command, cwd=CACHE, check=True, capture_output=True, timeout=limit)


def say_hi(claude: Path, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """One question in a home of its own."""
    return say(claude, home, "say hi", **environment)


def say(
    claude: Path, home: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """What is asked, and options. A key it has to have, whatever becomes of it."""
    return subprocess.run(
        [claude, "-p", *arguments],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "ANTHROPIC_API_KEY": "sk-ant-test-dummy",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            **environment,
        },
        cwd=home, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
