"""Proxies that are stopped, as by Ctrl-Z or a machine that sleeps, and go on: real processes and signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.cli.processes import ROOT, Program, Shell
from tests.cli.proxy.test_claude_settings import ORIGINAL, account, env, guard_of, path
from tests.waiting import wait_until

__all__ = ["account", "path"]  # fixtures


def status(shell: Shell) -> dict[str, object]:
    document = json.loads(shell.run("proxy", "status", "--format", "json").said)
    found: dict[str, object] = document["claudeCode"]
    return found


@pytest.fixture
def stopped(shell: Shell, path: Path) -> tuple[Program, str]:
    """A proxy that does not run for now, and has been detached."""
    proxy, url = shell.serve()
    proxy.signal(signal.SIGSTOP)
    wait_until(lambda: path.read_bytes() == ORIGINAL, "the guard acts")
    return proxy, url


def test_once_it_goes_on_claude_code_comes_back(
    shell: Shell, path: Path, stopped: tuple[Program, str]
) -> None:
    proxy, url = stopped
    told = shell.run("proxy", "status")
    assert "does not answer; Claude Code is detached from it since" in told.complained
    proxy.signal(signal.SIGCONT)
    wait_until(lambda: b"ANTHROPIC_BASE_URL" in path.read_bytes(), "it is attached again")
    assert env(path)["ANTHROPIC_BASE_URL"] == url
    wait_until(lambda: status(shell)["attached"], "it is told")
    shown = shell.run("proxy", "status").said
    assert "Claude Code: detached " in shown
    assert " because the proxy did not answer\n" in shown
    assert "the process did not run for " in shown
    proxy.signal()
    assert proxy.exit_code() == 0
    assert path.read_bytes() == ORIGINAL


def test_an_address_that_was_set_meanwhile_stays(
    shell: Shell, path: Path, stopped: tuple[Program, str]
) -> None:
    proxy, _ = stopped
    mine = ORIGINAL.replace(b'"A": "1"', b'"ANTHROPIC_BASE_URL": "https://gateway.example.com"')
    path.write_bytes(mine)
    proxy.signal(signal.SIGCONT)
    log = shell.state.parent / "logs" / "guard.log"
    wait_until(lambda: "not attached again" in log.read_text(), "the guard sees it")
    proxy.signal()
    assert proxy.exit_code() == 0
    assert path.read_bytes() == mine


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stop", "kill"])
def test_one_that_ends_in_its_pause_leaves_nothing(
    shell: Shell, path: Path, stopped: tuple[Program, str], number: signal.Signals
) -> None:
    proxy, _ = stopped
    guard = guard_of(shell)
    proxy.signal(number)
    proxy.signal(signal.SIGCONT)
    proxy.exit_code()
    wait_until(lambda: not guard.is_running(), "the guard leaves")
    assert path.read_bytes() == ORIGINAL
    assert not (shell.state.parent / "claude-settings.json").exists()


def test_a_guard_that_is_killed_is_followed_by_another(shell: Shell, path: Path) -> None:
    proxy, _ = shell.serve()
    first = guard_of(shell)
    first.kill()
    state = lambda: json.loads(shell.state.read_text())  # noqa: E731 - read anew each time
    wait_until(lambda: state()["guardPid"] != first.pid, "another guards it, and is told")
    proxy.kill_alone()
    wait_until(lambda: path.read_bytes() == ORIGINAL, "it does its work")


def test_what_a_killed_guard_has_detached_is_attached_by_the_next(
    shell: Shell, path: Path, stopped: tuple[Program, str]
) -> None:
    proxy, url = stopped
    guard_of(shell).kill()
    proxy.signal(signal.SIGCONT)
    wait_until(lambda: b"ANTHROPIC_BASE_URL" in path.read_bytes(), "it is attached again")
    assert env(path)["ANTHROPIC_BASE_URL"] == url


@pytest.mark.timeout(180)
def test_killed_at_any_step_of_its_start_it_leaves_nothing(tmp_path: Path) -> None:
    """Between the settings' write and the guard's start, say."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.claude_code.killing_attach", str(tmp_path)],
        cwd=ROOT, env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=150, check=True,
    )  # fmt: skip
    *killed, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(killed) > 10
    assert [step for step in killed if step != {"code": -signal.SIGKILL, "same": True}] == []
    assert last == {"code": 0, "same": True}
    wait_until(lambda: not processes_of(tmp_path), "no guard is left")


def processes_of(home: Path) -> list[psutil.Process]:
    """Those whose command names it."""
    running = psutil.process_iter(["cmdline"])
    return [each for each in running if str(home) in " ".join(each.info["cmdline"] or ())]
