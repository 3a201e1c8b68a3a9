"""A systemd user manager of a test's own, in a mount namespace of its own: it sees nothing of this machine's.

    unshare --mount --map-root-user python -m tests.cli.user_manager DIRECTORY COMMAND…

Runs the command while the manager runs, and exits with its code; with 77 where no manager can be had.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

NOT_TO_BE_HAD = 77
SYSTEMD = Path("/usr/lib/systemd/systemd")
LIMIT = 60.0


def main(directory: str, *command: str) -> int:
    # without this directory systemd says that the machine was not booted with it
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    Path("/run/systemd/system").mkdir(parents=True)
    runtime = Path(directory) / "run"
    runtime.mkdir(mode=0o700)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime)}
    with subprocess.Popen([SYSTEMD, "--user"], env=environment) as manager:
        try:
            if not answers(environment, manager):
                return NOT_TO_BE_HAD
            return subprocess.run(command, env=environment, check=False).returncode
        finally:
            manager.terminate()


def answers(environment: dict[str, str], manager: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline and manager.poll() is None:
        asked = ["systemctl", "--user", "show-environment"]
        if not subprocess.run(asked, env=environment, capture_output=True, check=False).returncode:
            return True
        time.sleep(0.1)
    return False


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
