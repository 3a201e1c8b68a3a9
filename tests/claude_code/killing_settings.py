"""A process that is killed at every step it takes to change Claude Code's settings and back.

    python -m tests.claude_code.killing_settings DIRECTORY

Prints a JSON line for each step: how it ended, and whether all could be put back. It forks, and therefore is a
process of its own.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from neurolink_mitm.claude_code.settings import ClaudeSettings
from tests.claude_code.killing import KILLED, kill_at


def main(directory: Path) -> None:
    path, record = directory / "settings.json", directory / "record.json"
    settings = ClaudeSettings(record)
    original = path.read_bytes()
    for step in range(1, 200):
        child = os.fork()
        if child == 0:
            kill_at(step, directory)
            settings.claim(path, os.getpid(), "http://127.0.0.1:55669")
            settings.release(os.getpid())
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        settings.put_back()
        same = path.read_bytes() == original and not record.exists()
        print(json.dumps({"code": code, "same": same}))
        if code != KILLED:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
