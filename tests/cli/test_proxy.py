"""`neurolink proxy status`, `stop`, `reset` and `replay`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.state_file import ProxyState, StateFile, process_start
from neurolink_mitm.cli import main
from neurolink_mitm.cli.proxy import stop as proxy_stop
from tests.cli.conftest import Running
from tests.cli.processes import MESSAGE, Shell, port_of, refuses


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


@pytest.fixture
def deaf() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not end when it is told to."""
    code = "import signal, sys; signal.signal(15, signal.SIG_IGN); print(1, flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as process:
        assert process.stdout
        process.stdout.readline()
        yield process
        process.kill()


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


def test_stop_ends_it_and_leaves_nothing_behind(shell: Shell) -> None:
    proxy, url = shell.serve("--sandbox")
    stop = shell.run("proxy", "stop")
    assert (stop.process.returncode, stop.complained) == (0, "")
    assert stop.said == f"stopped (pid {proxy.pid})\n"
    assert proxy.exit_code() == 0
    assert refuses(port_of(url))
    assert not shell.state.exists()


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


def test_stop_gives_up_in_the_end(
    home: Path, deaf: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_stop, "STOP_LIMIT", 0.2)
    write_state(home, pid=deaf.pid, pid_started=process_start(deaf.pid))
    ended = neurolink("proxy", "stop")
    assert ended.exit_code == 1
    assert f"process {deaf.pid} did not stop" in ended.stderr


def test_reset_of_a_running_one(running: Running) -> None:
    ask = f"{running.url}/v1/messages"
    attempts = (httpx.post(ask, json=MESSAGE).headers["x-neurolink-attempts"] for _ in range(3))
    assert "2" in attempts  # the sandbox has limited its first account
    reset = running.shell.run("proxy", "reset", "alpha")
    assert (reset.process.returncode, reset.said) == (0, "reset: alpha\n")
    accounts = httpx.get(f"{running.url}/status").json()["stats"]["accounts"]
    assert not accounts[0]["cooling"]


def test_reset_of_an_account_that_is_not_there(running: Running) -> None:
    reset = running.shell.run("proxy", "reset", "nobody")
    assert (reset.process.returncode, reset.said) == (1, "")
    assert "nobody" in reset.complained


def test_reset_while_nothing_runs() -> None:
    assert neurolink("proxy", "reset").stdout == "nothing to reset\n"
    ended = neurolink("proxy", "reset", "work")
    assert ended.exit_code == 1
    assert "no cooldown is kept for an account 'work'" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [("-s", "fill-frist"), ("-c", "/no/such.yaml"), ("--env-file", "/no/such.env"), ("-p", "x")],
    ids=["strategy", "config", "env-file", "port"],
)
def test_a_bad_argument_is_told_before_anything_heavy_is_imported(
    shell: Shell, arguments: tuple[str, str]
) -> None:
    """mitmproxy takes a second."""
    shell.variables["PYTHONPROFILEIMPORTTIME"] = "1"
    ended = shell.run("proxy", "start", *arguments)
    assert ended.process.returncode == 2
    assert arguments[1] in ended.complained
    assert "mitmproxy.http" not in ended.complained


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["-s", "fill-first"], 1), (["-s", "nonsense"], 2), ([], 2)],
    ids=["no-attempts", "unknown-strategy", "no-strategy"],
)
def test_replay_refuses(tmp_path: Path, arguments: list[str], code: int) -> None:
    file = tmp_path / "proxy-attempts-2026-11-22.jsonl"
    file.write_text("{\n")
    ended = neurolink("proxy", "replay", str(file), *arguments)
    assert ended.exit_code == code
    assert "Traceback" not in ended.output


def test_replay_of_what_was_written(shell: Shell, tmp_path: Path) -> None:
    proxy, url = shell.serve("--sandbox")
    for _ in range(3):
        assert httpx.post(f"{url}/v1/messages", json=MESSAGE).status_code == 200
    proxy.signal()
    assert proxy.exit_code() == 0
    [log] = (shell.state.parent / "logs").glob("proxy-attempts-*.jsonl")
    ended = neurolink("proxy", "replay", str(log), "-s", "round-robin", "--format", "json")
    assert ended.exit_code == 0
    report = json.loads(ended.stdout)
    assert report["recorded"]["served"] == {"alpha": 2, "beta": 1}
    assert report["recorded"]["rateLimits"] == 1
    assert report["round-robin"]["requests"] == 3
