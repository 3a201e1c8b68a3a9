"""Commands with mounts of their own, which the rest of the machine does not see."""

from __future__ import annotations

import os
import subprocess

import pytest


def in_a_namespace() -> tuple[str, ...]:
    """Return what to put before a command; the test is skipped where that is forbidden. It is root, or looks so."""
    words = ("unshare", "--mount", *(() if os.getuid() == 0 else ("--map-root-user",)))
    tried = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"namespaces are not allowed here: {tried.stderr.strip()}")
    return words
