"""The proxy that commands find: none, one that was killed, one of another process."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.state_file import ProxyState, StateFile, process_start
from neurolink_mitm.cli import main
from tests.cli.processes import Shell


def neurolink(*arguments: str) -> Result:
    """In this process: for what needs no other."""
    return CliRunner().invoke(main, arguments, prog_name="neurolink")


def write_state(home: Path, **fields: Any) -> StateFile:
    """A state file as a proxy with this very pid would have written it."""
    pid = os.getpid()
    own = {"pid": pid, "pid_started": process_start(pid), "port": 9, "host": "127.0.0.1"}
    file = StateFile(Home(home / ".neurolink").state)
    file.path.parent.mkdir(exist_ok=True)
    file.write(ProxyState(**{**own, "strategy": "fill-first", "start_time": 0.0, **fields}))
    return file


@pytest.mark.parametrize("command", [("status",), ("stop",)])
def test_nothing_runs(shell: Shell, command: tuple[str, ...]) -> None:
    ended = shell.run("proxy", *command)
    assert (ended.process.returncode, ended.said) == (3, "")
    hint = "the proxy is not running; start it with: neurolink proxy start"
    assert ended.complained == f"neurolink: {hint}\n"


def test_a_killed_one_is_not_running_and_can_be_started_again(shell: Shell) -> None:
    first, _ = shell.serve("--sandbox")
    first.signal(signal.SIGKILL)
    first.exit_code()
    for command in ("status", "stop"):
        ended = shell.run("proxy", command)
        assert (ended.process.returncode, ended.said) == (3, "")
        assert f"process {first.pid} ended without cleaning up" in ended.complained
    again, url = shell.serve("--sandbox")
    report = json.loads(shell.run("proxy", "status", "--format", "json").said)
    assert (report["pid"], report["url"]) == (again.pid, url)


@pytest.mark.parametrize("command", ["status", "stop"])
def test_a_reused_pid_is_left_alone(home: Path, command: str) -> None:
    """The state file names this very process, but as one that began at another time."""
    write_state(home, pid_started=1.0)
    ended = neurolink("proxy", command)
    assert ended.exit_code == 3
    assert f"process {os.getpid()} ended" in ended.stderr


@pytest.mark.parametrize("command", ["status", "stop"])
def test_a_broken_state_file_is_nothing_that_runs(home: Path, command: str) -> None:
    write_state(home).path.write_text("{")
    assert neurolink("proxy", command).exit_code == 3


@pytest.mark.parametrize("command", ["status", "stop"])
def test_without_a_home(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("NEUROLINK_HOME")
    ended = neurolink("proxy", command)
    assert ended.exit_code == 2
    assert "NEUROLINK_HOME" in ended.stderr
