"""What a real systemd makes of the service, told step by step as JSON lines; for test_proxy_install.

python -m tests.cli.service_story PORT
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.cli.processes import NEUROLINK
from tests.waiting import wait_until

HOME = Path(os.environ["HOME"])
STATE = HOME / ".neurolink" / "proxy-state.json"
SETTINGS = HOME / ".claude" / "settings.json"


def neurolink(*arguments: str) -> list[object]:
    done = subprocess.run(
        [*NEUROLINK, *arguments], capture_output=True, text=True, check=False, cwd=HOME
    )
    return [done.returncode, done.stdout + done.stderr]


def state() -> dict[str, int]:
    try:
        found: dict[str, int] = json.loads(STATE.read_text())
    except (OSError, ValueError):
        return {}
    return found


def pointed() -> bool:
    return SETTINGS.exists() and "ANTHROPIC_BASE_URL" in SETTINGS.read_text()


def tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def main(port: str) -> None:
    tell(installed=neurolink("proxy", "install", "--port", port), pointed=pointed())
    first = state()
    again = neurolink("proxy", "install", "--port", port)
    second = state()
    tell(again=again, replaced=first["pid"] != second["pid"], pointed=pointed())
    os.kill(second["pid"], signal.SIGKILL)
    wait_until(lambda: not pointed(), "its settings are put back")
    tell(after_kill=pointed())
    wait_until(lambda: state().get("pid", second["pid"]) != second["pid"], "it is started again")
    wait_until(pointed, "it points Claude Code at itself again")
    tell(status=neurolink("proxy", "status")[0], guard=bool(state()["guardPid"]))
    tell(uninstalled=neurolink("proxy", "uninstall"), pointed=pointed(), state=STATE.exists())


if __name__ == "__main__":
    main(*sys.argv[1:])
