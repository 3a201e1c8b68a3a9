"""How the command is called, for lines that are to be pasted."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def program() -> str:
    """How the user's shell finds us: by name, else by path."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "neurolink"
    by_name = shutil.which(called.name)
    if by_name and os.path.realpath(by_name) == os.path.realpath(called):
        return called.name
    return os.path.relpath(called) if called.absolute().is_relative_to(Path.cwd()) else str(called)
