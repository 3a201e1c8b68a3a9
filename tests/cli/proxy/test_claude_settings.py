"""Claude Code's settings while proxies run, as real processes: pointed here, and put back however they end."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.cli.processes import Program, Shell, port_of
from tests.waiting import wait_until

ORIGINAL = b'\xef\xbb\xbf{\r\n\t"model": "opus",\r\n\t"env": {"A": "1"}}\r\n\r\n'
PROMISED = 7.0
"""Seconds after a `kill -9`."""


@pytest.fixture(autouse=True)
def account(shell: Shell) -> None:
    """One whose upstream nobody asks anything."""
    shell.variables["ANTHROPIC_API_KEY"] = "sk-ant-test-key"


@pytest.fixture
def path(shell: Shell) -> Path:
    shell.claude_settings.parent.mkdir()
    shell.claude_settings.write_bytes(ORIGINAL)
    return shell.claude_settings


def env(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8-sig")).get("env")


def serve_on(shell: Shell, *arguments: str) -> tuple[Program, str]:
    """One more, on a port that was free a moment ago; asked for by number it is another proxy of the same home."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    proxy = shell.start("proxy", "start", "--port", str(port), *arguments)
    return proxy, proxy.expect(r"export ANTHROPIC_BASE_URL=(\S+)\n")[1]


def guard_of(shell: Shell) -> psutil.Process:
    """The one that the state file names."""
    return psutil.Process(json.loads(shell.state.read_text())["guardPid"])


def tree(place: Path) -> dict[str, bytes]:
    return {str(each): each.read_bytes() for each in place.rglob("*") if each.is_file()}


def test_start_points_claude_code_here_and_stop_puts_it_back(shell: Shell, path: Path) -> None:
    proxy, url = shell.serve()
    assert env(path) == {"A": "1", "ANTHROPIC_BASE_URL": url, "ENABLE_TOOL_SEARCH": "true"}
    assert f"Claude Code comes here until this stops: {path} says so" in proxy.said
    assert shell.run("proxy", "stop").process.returncode == 0
    assert tree(path.parent) == {str(path): ORIGINAL}


def test_where_there_was_nothing_nothing_stays(shell: Shell) -> None:
    proxy, url = shell.serve()
    assert env(shell.claude_settings)["ANTHROPIC_BASE_URL"] == url
    proxy.signal(signal.SIGINT)
    assert proxy.exit_code() == 0
    assert not shell.claude_settings.parent.exists()


def test_after_a_kill_the_guard_puts_it_back(shell: Shell, path: Path) -> None:
    proxy, _ = shell.serve()
    guard = guard_of(shell)
    proxy.kill_alone()
    killed = time.monotonic()
    wait_until(lambda: path.read_bytes() == ORIGINAL, "the guard acts", PROMISED)
    assert time.monotonic() - killed < PROMISED
    wait_until(lambda: not guard.is_running(), "it leaves")
    log = (shell.state.parent / "logs" / "guard.log").read_text()
    assert f"of proxy {proxy.pid}: it is dead\n" in log
    assert "Claude Code's settings are as they were before\n" in log
    assert not list(shell.state.parent.glob("guard-*.lock"))


def test_a_proxy_that_hangs_is_given_up(shell: Shell, path: Path) -> None:
    proxy, _ = shell.serve()
    proxy.signal(signal.SIGSTOP)
    wait_until(lambda: path.read_bytes() == ORIGINAL, "the guard acts")
    log = (shell.state.parent / "logs" / "guard.log").read_text()
    assert f"of proxy {proxy.pid}: it runs, but did not answer 5 times\n" in log


def test_a_users_edit_stays(shell: Shell, path: Path) -> None:
    proxy, _ = shell.serve()
    edited = path.read_bytes().replace(b'"opus"', b'"sonnet"').replace(b'"A": "1"', b'"B":"2"')
    path.write_bytes(edited)
    proxy.signal()
    assert proxy.exit_code() == 0
    expected = ORIGINAL.replace(b'"opus"', b'"sonnet"').replace(b'"A": "1"', b'"B":"2"')
    assert path.read_bytes() == expected


def test_a_value_that_the_user_changed_stays_after_a_kill(shell: Shell, path: Path) -> None:
    proxy, url = shell.serve()
    guard = guard_of(shell)
    path.write_bytes(path.read_bytes().replace(url.encode(), b"https://gateway.example.com"))
    proxy.kill_alone()
    wait_until(lambda: not guard.is_running(), "the guard leaves")
    assert env(path) == {"A": "1", "ANTHROPIC_BASE_URL": "https://gateway.example.com"}


def stop(proxy: Program) -> None:
    proxy.signal()
    assert proxy.exit_code() == 0


@pytest.mark.parametrize("end", [stop, Program.kill_alone], ids=["stop", "kill"])
@pytest.mark.parametrize("first", [0, 1], ids=["earlier", "later"])
def test_of_two_proxies_the_last_one_started_is_used(
    shell: Shell, path: Path, end: Callable[[Program], None], first: int
) -> None:
    both = [serve_on(shell), serve_on(shell)]
    assert env(path)["ANTHROPIC_BASE_URL"] == both[1][1]
    end(both[first][0])
    left = both[1 - first][1]
    record = shell.state.parent / "claude-settings.json"
    wait_until(lambda: len(json.loads(record.read_text())["entries"]) == 1, "it is put back")
    assert env(path) == {"A": "1", "ANTHROPIC_BASE_URL": left, "ENABLE_TOOL_SEARCH": "true"}
    assert httpx.get(f"{left}/health").status_code == 200
    end(both[1 - first][0])
    wait_until(lambda: path.read_bytes() == ORIGINAL, "it is put back")
    assert path.read_bytes() == ORIGINAL


def test_the_next_proxy_puts_back_what_proxy_and_guard_left(shell: Shell, path: Path) -> None:
    """As after a power cut."""
    proxy, url = shell.serve()
    proxy.kill()
    assert env(path)["ANTHROPIC_BASE_URL"] == url
    stop(shell.serve()[0])
    assert path.read_bytes() == ORIGINAL


def test_a_restart_on_the_same_port_is_not_undone(shell: Shell, path: Path) -> None:
    """By the guard of the one before it, that is."""
    proxy, url = shell.serve()
    guard = guard_of(shell)
    guard.suspend()
    proxy.kill_alone()
    again = shell.start("proxy", "start", "--port", str(port_of(url)))
    again.expect("export ANTHROPIC_BASE_URL")
    guard.resume()
    wait_until(lambda: not guard.is_running(), "the first guard leaves")
    assert env(path)["ANTHROPIC_BASE_URL"] == url
    stop(again)
    assert path.read_bytes() == ORIGINAL


def test_a_guard_leaves_where_another_serves_the_address(shell: Shell, path: Path) -> None:
    """One that has not touched the settings, or is of another home."""
    proxy, url = shell.serve()
    guard = guard_of(shell)
    guard.suspend()
    proxy.kill_alone()
    again = shell.start("proxy", "start", "--no-claude-settings", "--port", str(port_of(url)))
    again.expect("export ANTHROPIC_BASE_URL")
    guard.resume()
    wait_until(lambda: not guard.is_running(), "the guard leaves")
    assert env(path)["ANTHROPIC_BASE_URL"] == url
    log = (shell.state.parent / "logs" / "guard.log").read_text()
    assert "it is dead, and another proxy serves its address\n" in log


def test_a_second_guard_of_a_proxy_leaves(shell: Shell, path: Path) -> None:
    proxy, _ = shell.serve()
    wait_until(lambda: list(shell.state.parent.glob("guard-*.lock")), "the guard is there")
    second = shell.run("proxy", "guard", str(proxy.pid))
    assert (second.process.returncode, second.said, second.complained) == (0, "", "")
    assert guard_of(shell).is_running()


def test_the_guard_ends_with_a_clean_stop(shell: Shell, path: Path) -> None:
    proxy, _ = shell.serve()
    guard = guard_of(shell)
    wait_until(lambda: list(shell.state.parent.glob("guard-*.lock")), "the guard is there")
    stop(proxy)
    assert not guard.is_running()
    assert not list(shell.state.parent.glob("guard-*.lock"))


def test_the_guard_is_on_its_own(shell: Shell, path: Path) -> None:
    """No terminal's signals reach it, and it needs no keys."""
    proxy, _ = shell.serve()
    guard = guard_of(shell)
    assert os.getsid(guard.pid) == guard.pid != os.getsid(proxy.pid)
    wait_until(lambda: "guard" in " ".join(guard.cmdline()), "it is a program of its own")
    assert "ANTHROPIC_API_KEY" not in guard.environ()


def test_the_guard_is_small(shell: Shell, path: Path) -> None:
    shell.serve()
    guard = guard_of(shell)
    wait_until(lambda: list(shell.state.parent.glob("guard-*.lock")), "the guard is there")
    assert guard.memory_info().rss < 48_000_000


def test_a_broken_file_is_named_and_the_proxy_starts(shell: Shell, path: Path) -> None:
    path.write_text("{")
    proxy, url = shell.serve()
    proxy.expect(f"{path} can't be changed: ")
    assert "neurolink proxy env" in proxy.complained
    assert httpx.get(f"{url}/health").status_code == 200
    stop(proxy)
    assert path.read_text() == "{"


@pytest.mark.parametrize("arguments", [["--no-claude-settings"], ["--sandbox"]], ids=" ".join)
def test_settings_are_left_alone(shell: Shell, path: Path, arguments: list[str]) -> None:
    proxy, _ = shell.serve(*arguments)
    assert path.read_bytes() == ORIGINAL
    assert json.loads(shell.state.read_text())["guardPid"] is None
    assert "says so" not in proxy.said


def test_the_sandbox_says_so(shell: Shell, path: Path) -> None:
    proxy, _ = shell.serve("--sandbox")
    assert "Claude Code's settings are left alone" in proxy.said
