"""The parent in a container: it passes signals on, reaps orphans, and ends as its child does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import wait_until

BEGIN = "from neurolink_mitm.adapters import init_process; init_process.run_in_child()\n"
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="for containers")


def begin(program: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BEGIN + program]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.parametrize(
    ("program", "code"),
    [("", 0), ("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)],
    ids=["done", "failed", "killed"],
)
def test_it_ends_as_its_child_does(program: str, code: int) -> None:
    with begin(program) as process:
        assert process.wait(20) == code


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"])
def test_it_passes_signals_on(name: str) -> None:
    program = f"""
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.{name}])
print("ready", flush=True)
signal.sigwait([signal.{name}])
print("received", flush=True)
"""
    with begin(program) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(getattr(signal, name))
        assert process.stdout.readline() == "received\n"
        assert process.wait(20) == 0


def test_a_child_without_a_handler_ends() -> None:
    """As in the program's first moments, when a process 1 by itself would not."""
    with begin("print('ready', flush=True); input()") as process:
        assert process.stdout
        process.stdout.readline()
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM


@pytest.mark.real("namespaces")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a namespace of processes")
def test_the_command_as_process_1_ends_and_leaves_no_zombie(tmp_path: Path) -> None:
    """An orphan is adopted by process 1, and reaped; a SIGTERM before any handler ends the command."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os, subprocess, time\n"
        "from neurolink_mitm.adapters import init_process\n"
        "init_process.step_aside()\n"
        "assert os.getpid() == 2, os.getpid()\n"
        "subprocess.run(['sh', '-c', 'true & true'], check=True)\n"
        "deadline = time.monotonic() + 10\n"
        "while len(os.listdir('/proc')) and sum(n.isdigit() for n in os.listdir('/proc')) > 2:\n"
        "    assert time.monotonic() < deadline, os.listdir('/proc')\n"
        "    time.sleep(0.01)\n"
        "print('alone', flush=True)\n"
        "input()\n"
    )
    apart = ["unshare", "--pid", "--mount", "--mount-proc", "--fork", "--kill-child"]
    command = [*apart, sys.executable, str(program)]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env=variables
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "alone\n"
        [first] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(first), signal.SIGTERM)
        wait_until(lambda: process.poll() is not None, "it has ended", 20)
        assert process.returncode == 128 + signal.SIGTERM
