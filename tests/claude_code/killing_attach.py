"""A proxy that is killed at every step it takes to point Claude Code at itself, and its guard.

    python -m tests.claude_code.killing_attach DIRECTORY

Prints a JSON line for each step: how it ended, and whether its guard has put all back. It forks, and therefore is a
process of its own; the child that takes no further step ends well.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.claude_code.attach import ClaudeCode
from tests.claude_code import killing
from tests.waiting import wait_until

ORIGINAL = '{"env": {"A": "1"}}'


def main(directory: Path) -> None:
    killing.EVENTS.add("subprocess.Popen")
    for step in range(1, 200):
        home = Home(directory / str(step))
        home.create()
        path = home.root / "settings.json"
        path.write_text(ORIGINAL)
        child = os.fork()
        if child == 0:
            claude_code = ClaudeCode(home, path)
            killing.kill_at(step, home.root)
            claude_code.attach(os.getpid(), "http://127.0.0.1:9")
            claude_code.detach(os.getpid())
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        wait_until(lambda path=path: path.read_text() == ORIGINAL, f"step {step}", 20.0)
        wait_until(lambda home=home: not home.claude_settings.exists(), f"step {step}", 20.0)
        print(json.dumps({"code": code, "same": path.read_text() == ORIGINAL}), flush=True)
        if code != killing.KILLED:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
