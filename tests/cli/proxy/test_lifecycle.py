"""Starts and ends that are not the usual ones."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import httpx
import pytest

from neurolink_mitm.adapters.state_file import process_start
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.cli.namespaces import in_a_namespace
from tests.cli.processes import MESSAGE, NEUROLINK, Shell, port_of, refuses
from tests.waiting import wait_until

ORIGINAL = '{"env": {"A": "1"}}\n'


@pytest.fixture
def path(shell: Shell) -> Path:
    shell.claude_settings.parent.mkdir()
    shell.claude_settings.write_text(ORIGINAL)
    return shell.claude_settings


def test_a_port_that_is_taken_is_told_with_who_has_it(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        ended = shell.run("proxy", "start", "--sandbox", "--port", port)
    assert ended.process.returncode == 1
    assert "taken by python" in ended.complained
    assert f"(pid {os.getpid()}); try --port 0\n" in ended.complained


def test_a_proxy_of_another_home_is_told_as_one(shell: Shell) -> None:
    proxy, url = shell.serve("--sandbox")
    shell.variables["NEUROLINK_HOME"] = str(shell.home / "other")
    ended = shell.run("proxy", "start", "--sandbox", "--port", str(port_of(url)))
    assert ended.process.returncode == 1
    assert f"taken by another NeuroLink (pid {proxy.pid})" in ended.complained


@pytest.mark.parametrize("started", [0.0, -1000.0], ids=["dead", "reused"])
def test_a_stale_state_file_does_not_keep_it(shell: Shell, started: float) -> None:
    """Its process is dead, or another has its pid by now."""
    pid = os.getpid()
    began = (process_start(pid) or 0.0) + started
    state = {
        "pid": pid if started else 2**22 - 1,
        "pidStarted": began,
        "port": 1,
        "host": "127.0.0.1",
    }
    shell.write("proxy-state.json", json.dumps({**state, "strategy": "x", "startTime": 0}))
    proxy, _ = shell.serve("--sandbox")
    assert json.loads(shell.state.read_text())["pid"] == proxy.pid


def test_without_a_home_nothing_of_claude_code_is_changed(
    shell: Shell, path: Path, pool: Path
) -> None:
    """As under cron."""
    shell.variables |= {"HOME": "", "NEUROLINK_HOME": str(pool.parent)}
    proxy, url = shell.serve()
    assert "no settings of Claude Code are changed" in proxy.complained
    assert httpx.get(f"{url}/health").status_code == 200
    assert path.read_text() == ORIGINAL


def test_a_state_that_can_not_be_written_does_not_keep_it_from_serving(
    shell: Shell, pool: Path, path: Path
) -> None:
    """A full disk, or one that can't be written; here a directory is in its place."""
    shell.state.mkdir()
    proxy, url = shell.serve()
    assert "won't find this proxy" in proxy.complained
    assert httpx.post(f"{url}/v1/messages", json=MESSAGE, timeout=20).status_code == 200
    proxy.signal()
    assert proxy.exit_code() == 0
    assert path.read_text() == ORIGINAL


@pytest.mark.real("namespaces")
def test_a_read_only_home_does_not_keep_it_from_serving(shell: Shell, pool: Path) -> None:
    """Root may write anywhere but there."""
    shell.variables["PLACE"] = str(pool.parent)
    mount = 'mount --bind "$PLACE" "$PLACE" && mount -o remount,bind,ro "$PLACE" && exec "$@"'
    command = (*in_a_namespace(), "sh", "-c", mount, "sh", *NEUROLINK)
    proxy = shell.start("proxy", "start", "--port", "0", program=command)
    url = proxy.expect(r"export ANTHROPIC_BASE_URL=(\S+)\n")[1]
    assert httpx.post(f"{url}/v1/messages", json=MESSAGE, timeout=20).status_code == 200
    assert "won't find this proxy" in proxy.complained
    assert not shell.claude_settings.exists()  # there is no place to write down what was there
    proxy.signal()
    assert proxy.exit_code() == 0


def test_a_terminal_that_is_closed_ends_it_well(shell: Shell, pool: Path, path: Path) -> None:
    proxy, _ = shell.serve()
    proxy.signal(signal.SIGHUP)
    assert proxy.exit_code() == 0
    assert path.read_text() == ORIGINAL
    assert not shell.state.exists()


def test_nohup_keeps_it(shell: Shell, pool: Path) -> None:
    proxy = shell.start("proxy", "start", "--port", "0", program=("nohup", *NEUROLINK))
    url = proxy.expect(r"export ANTHROPIC_BASE_URL=(\S+)\n")[1]
    proxy.signal(signal.SIGHUP)
    assert httpx.get(f"{url}/health").status_code == 200
    assert proxy.runs


def test_a_second_signal_puts_the_settings_back_too(
    shell: Shell, pool: Path, path: Path, upstream: SandboxServer
) -> None:
    upstream.script("a", Reply(stall_after=6))
    proxy, url = shell.serve()
    with httpx.stream("POST", f"{url}/v1/messages", json=MESSAGE, timeout=20) as answer:
        chunks = answer.iter_raw()  # once forgotten, it closes the connection
        next(chunks)
        proxy.signal(signal.SIGINT)
        wait_until(lambda: refuses(port_of(url)), "it takes no more connections")
        proxy.signal(signal.SIGINT)
        assert proxy.exit_code() == 0
    assert path.read_text() == ORIGINAL
