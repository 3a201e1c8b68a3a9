"""`neurolink proxy setup` and `proxy uninstall --purge`, as processes in a home of their own."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from neurolink_mitm.sandbox import Account, Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.cli.processes import Program, Shell
from tests.waiting import wait_until

KEY = "sk-ant-test-key"
CLAUDE = """#!/bin/sh
curl -sf "$(sed -n 's/.*BASE_URL": "\\(.*\\)".*/\\1/p' ~/.claude/settings.json)/v1/messages" \\
    -H 'user-agent: claude-cli/2.1.0 (external, cli)' -H 'content-type: application/json' \\
    -d '{"model":"claude-sonnet-4-6","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'
"""
"""In place of Claude Code: sends what that would send to where its settings say."""


@pytest.fixture
def shell(shell: Shell) -> Shell:
    """Without a service manager."""
    programs = shell.place / "bin"
    programs.mkdir()
    for name in ("systemctl", "launchctl"):
        (programs / name).write_text("#!/bin/sh\nexit 1\n")
        (programs / name).chmod(0o755)
    shell.variables["PATH"] = f"{programs}:/usr/bin:/bin"
    return shell


@pytest.fixture
def port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return str(found.getsockname()[1])


@pytest.fixture
def upstream() -> Iterator[SandboxServer]:
    accounts = [Account("a", KEY), Account("plan", "sk-ant-oat-test-plan", "oauth")]
    with SandboxServer(accounts) as server:
        yield server


@pytest.fixture
def configured(shell: Shell, upstream: SandboxServer) -> Path:
    """A configuration that says where Anthropic is, and no account."""
    text = f"version: 1\ndefaultBaseUrl: {upstream.url}\n"
    return shell.write("proxy-config.yaml", text)


def setup(shell: Shell, port: str, *arguments: str) -> Program:
    return shell.run("proxy", "setup", "--no-service", "--port", port, *arguments)


def marks(ended: Program) -> list[str]:
    lines = ended.said.splitlines() + ended.complained.splitlines()
    return [line.partition(" ")[0] for line in lines if line.startswith("[")]


def test_everything_in_one_go(shell: Shell, port: str, configured: Path) -> None:
    shell.variables["ANTHROPIC_API_KEY"] = KEY
    ended = setup(shell, port)
    assert (ended.process.returncode, marks(ended)) == (0, ["[ok]"] * 5), str(ended)
    assert "[ok] 1 account: api-key\n" in ended.said
    assert "[ok] a first request was answered by api-key\n" in ended.said
    settings = json.loads(shell.claude_settings.read_text())
    assert settings["env"]["ANTHROPIC_BASE_URL"] == f"http://127.0.0.1:{port}"
    kept = json.loads((shell.home / ".neurolink" / "tokens.json").read_text())
    assert kept["providers"].keys() == {"anthropic:api-key"}  # a service does not see the variable
    assert "\x1b" not in ended.said


def test_the_proxy_outlives_it(shell: Shell, port: str, configured: Path) -> None:
    shell.variables["ANTHROPIC_API_KEY"] = KEY
    setup(shell, port)
    status = shell.run("proxy", "status", "--format", "json")
    pid = json.loads(status.said)["pid"]
    assert os.getsid(pid) == pid
    assert shell.run("proxy", "stop").process.returncode == 0
    assert not shell.claude_settings.parent.exists()


def test_it_can_be_repeated(shell: Shell, port: str, configured: Path) -> None:
    shell.variables["ANTHROPIC_API_KEY"] = KEY
    setup(shell, port)
    before = json.loads(shell.state.read_text())["pid"]
    again = setup(shell, port)
    assert (again.process.returncode, marks(again)) == (0, ["[ok]"] * 5)
    assert f"the proxy runs already: http://127.0.0.1:{port} (pid {before})" in again.said


def test_after_a_crash_it_makes_all_well(shell: Shell, port: str, configured: Path) -> None:
    shell.variables["ANTHROPIC_API_KEY"] = KEY
    setup(shell, port)
    proxy = psutil.Process(json.loads(shell.state.read_text())["pid"])
    proxy.kill()
    wait_until(lambda: not proxy.is_running(), "it is gone")
    again = setup(shell, port)
    assert (again.process.returncode, marks(again)) == (0, ["[ok]"] * 5), str(again)


def test_without_a_service_manager_it_runs_in_the_background(
    shell: Shell, port: str, configured: Path
) -> None:
    shell.variables["ANTHROPIC_API_KEY"] = KEY
    ended = shell.run("proxy", "setup", "--port", port)
    assert ended.process.returncode == 0
    assert "[--] not installed as a service: " in ended.said
    assert "[ok] the proxy runs, until the machine restarts: " in ended.said


def test_a_starter_configuration_is_written(shell: Shell, port: str) -> None:
    """There is no upstream then: the key is not tried, and the first request goes nowhere."""
    shell.write("tokens.json", json.dumps(store(KEY)))
    shell.variables["HTTPS_PROXY"] = "http://127.0.0.1:9"
    ended = setup(shell, port)
    path = shell.home / ".neurolink" / "proxy-config.yaml"
    assert f"[ok] configuration written, to be changed as you like: {path}\n" in ended.said
    assert path.read_text().startswith("# NeuroLink's configuration.")
    assert marks(ended)[-1] == "[failed]"
    assert ended.process.returncode == 1


def store(token: str, kind: str = "api_key") -> dict[str, object]:
    entry = {"tokens": {"accessToken": token, "expiresAt": 0}, "account": {}, "type": kind}
    return {"version": "2.0", "providers": {"anthropic:mine": entry}}


def test_a_subscription_is_tried_by_claude_code(shell: Shell, port: str, configured: Path) -> None:
    shell.write("tokens.json", json.dumps(store("sk-ant-oat-test-plan", "oauth")))
    claude = shell.place / "bin" / "claude"
    claude.write_text(CLAUDE)
    claude.chmod(0o755)
    ended = setup(shell, port)
    assert ended.process.returncode == 0, str(ended)
    assert "[ok] a first request was answered by mine, asked by Claude Code\n" in ended.said


def test_claude_code_without_a_login_of_its_own_is_lent_one(
    shell: Shell, port: str, configured: Path
) -> None:
    """It sends nothing without; what is to be done about it is told."""
    shell.write("tokens.json", json.dumps(store("sk-ant-oat-test-plan", "oauth")))
    claude = shell.place / "bin" / "claude"
    claude.write_text(
        CLAUDE.replace("\n", '\n[ -n "$ANTHROPIC_AUTH_TOKEN" ] || exec echo Not logged in\n', 1)
    )
    claude.chmod(0o755)
    ended = setup(shell, port)
    assert ended.process.returncode == 0, str(ended)
    assert (
        "[ok] a first request was answered by mine, asked by Claude Code\n[--] Claude" in ended.said
    )
    assert "ANTHROPIC_AUTH_TOKEN=anything" in ended.said


def test_what_claude_code_says_is_told_where_it_fails(
    shell: Shell, port: str, configured: Path, upstream: SandboxServer
) -> None:
    """It is not asked again where it reached the proxy."""
    shell.write("tokens.json", json.dumps(store("sk-ant-oat-test-plan", "oauth")))
    upstream.script("plan", Reply(400))
    claude = shell.place / "bin" / "claude"
    claude.write_text(f"{CLAUDE} || echo it is of no use; exit 1\n".replace("'\n ||", "' ||"))
    claude.chmod(0o755)
    ended = setup(shell, port)
    assert ended.process.returncode == 1, str(ended)
    assert f"[failed] a first request failed: {claude} -p: it is of no use\n" in ended.complained
    assert len(upstream.requests) == 1


def test_a_subscription_is_not_tried_by_anyone_else(
    shell: Shell, port: str, configured: Path, upstream: SandboxServer
) -> None:
    shell.write("tokens.json", json.dumps(store("sk-ant-oat-test-plan", "oauth")))
    ended = setup(shell, port)
    assert ended.process.returncode == 0, str(ended)
    assert "[--] no first request was sent" in ended.said
    assert [each.path for each in upstream.requests] == []


def test_with_nothing_and_nobody_to_ask_it_says_what_it_needs(shell: Shell, port: str) -> None:
    ended = setup(shell, port, "--non-interactive")
    assert ended.process.returncode == 2
    assert "ANTHROPIC_API_KEY" in ended.complained
    assert not shell.state.exists()


def test_a_first_request_that_is_refused_is_told(
    shell: Shell, port: str, configured: Path, upstream: SandboxServer
) -> None:
    shell.write("tokens.json", json.dumps(store(KEY)))
    upstream.script("a", Reply(400))
    ended = setup(shell, port)
    assert (ended.process.returncode, marks(ended)[-1]) == (1, "[failed]")
    assert "a first request failed: 400, " in ended.complained


def test_a_port_that_is_taken_is_told(shell: Shell, configured: Path) -> None:
    shell.write("tokens.json", json.dumps(store(KEY)))
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        ended = setup(shell, taken)
    assert ended.process.returncode == 1
    assert (
        f"[failed] the proxy did not start: port {taken} on 127.0.0.1 is taken" in ended.complained
    )


def test_a_broken_configuration_is_told(shell: Shell, port: str, configured: Path) -> None:
    configured.write_text("nonsense: 1\n")
    ended = setup(shell, port)
    assert ended.process.returncode == 2
    assert "nonsense: " in ended.complained


def test_client_keys_are_shown(shell: Shell, port: str, configured: Path) -> None:
    shell.write("tokens.json", json.dumps(store(KEY)))
    shell.write(".env", "CLIENT_KEY=a-client-key\n")
    configured.write_text(configured.read_text() + "clients: {api-keys: ['${CLIENT_KEY}']}\n")
    ended = setup(shell, port)
    assert_it_shows_one(ended)


def test_keys_that_were_made_are_enough(shell: Shell, port: str, configured: Path) -> None:
    """Nobody has them any more: only their hashes are kept."""
    shell.write("tokens.json", json.dumps(store(KEY)))
    assert shell.run("clients", "add", "laptop").process.returncode == 0
    assert_it_shows_one(setup(shell, port))


def assert_it_shows_one(ended: Program) -> None:
    expected = ["[ok]", "[ok]", "[ok]", "[ok]", "[--]", "[ok]"]
    assert (ended.process.returncode, marks(ended)) == (0, expected), str(ended)
    assert "[--] it must show a client key, as all callers: neurolink clients add" in ended.said


def tree(home: Path) -> dict[str, bytes | None]:
    return {
        str(each.relative_to(home)): None if each.is_dir() else each.read_bytes()
        for each in home.rglob("*")
    }


def test_purge_leaves_no_trace(shell: Shell, port: str, upstream: SandboxServer) -> None:
    shell.claude_settings.parent.mkdir()
    shell.claude_settings.write_bytes(b'{"env":{}}')
    before = tree(shell.home)
    shell.write("proxy-config.yaml", f"version: 1\ndefaultBaseUrl: {upstream.url}\n")
    shell.variables["ANTHROPIC_API_KEY"] = KEY
    assert setup(shell, port).process.returncode == 0
    pid = json.loads(shell.state.read_text())["pid"]
    assert tree(shell.home) != before
    ended = shell.run("proxy", "uninstall", "--purge", "--yes")
    assert ended.process.returncode == 0, str(ended)
    assert f"proxy stopped (pid {pid})\n" in ended.said
    assert tree(shell.home) == before


def test_purge_asks_first(shell: Shell, port: str, configured: Path) -> None:
    shell.write("tokens.json", json.dumps(store(KEY)))
    ended = shell.run("proxy", "uninstall", "--purge")
    assert ended.process.returncode == 2
    assert "--yes" in ended.complained
    assert (shell.home / ".neurolink" / "tokens.json").exists()


def test_purge_stops_every_proxy_of_the_home(shell: Shell, configured: Path) -> None:
    shell.write("tokens.json", json.dumps(store(KEY)))
    first, _ = shell.serve()
    with socket.create_server(("127.0.0.1", 0)) as found:
        other = str(found.getsockname()[1])
    second = shell.start("proxy", "start", "--port", other)
    second.expect("export ANTHROPIC_BASE_URL")
    ended = shell.start("proxy", "uninstall", "--purge", "--yes")
    assert (first.exit_code(), second.exit_code(), ended.exit_code()) == (0, 0, 0)
    assert list(shell.home.iterdir()) == []


def test_purge_leaves_what_is_not_ours(shell: Shell) -> None:
    shell.write("tokens.json", json.dumps(store(KEY)))
    shell.write("thesis.tex", "")
    ended = shell.run("proxy", "uninstall", "--purge", "--yes")
    assert ended.process.returncode == 0
    assert "not ours: thesis.tex" in ended.said
    assert [each.name for each in (shell.home / ".neurolink").iterdir()] == ["thesis.tex"]


def test_purge_of_nothing_is_fine(shell: Shell) -> None:
    ended = shell.run("proxy", "uninstall", "--purge", "--yes")
    assert ended.process.returncode == 0
    assert list(shell.home.iterdir()) == []


def test_uninstall_alone_keeps_the_proxy_and_its_home(shell: Shell, configured: Path) -> None:
    shell.write("tokens.json", json.dumps(store(KEY)))
    proxy, _ = shell.serve()
    assert shell.run("proxy", "uninstall").process.returncode == 0
    assert proxy.runs
    assert configured.exists()
    assert shell.claude_settings.exists()
