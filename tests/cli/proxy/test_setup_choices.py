"""What `neurolink proxy setup` offers beside the address: set while the proxy runs, and restored to the byte."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurolink_mitm.claude_code.choices import MODEL_DISCOVERY, TOOL_STREAMING
from neurolink_mitm.claude_code.vscode_text import values
from neurolink_mitm.sandbox import Account
from neurolink_mitm.sandbox.server import SandboxServer
from tests.cli.processes import Program, Shell
from tests.waiting import wait_until

KEY = "sk-ant-test-key"
SETTINGS = '{\n  // mine\n  "editor.fontSize": 14, // big\n}\n'
NAMES = ("ANTHROPIC_BASE_URL", MODEL_DISCOVERY, TOOL_STREAMING)


@pytest.fixture
def shell(shell: Shell) -> Iterator[Shell]:
    """Without a service manager, and with an account."""
    programs = shell.place / "bin"
    programs.mkdir()
    for name in ("systemctl", "launchctl"):
        (programs / name).write_text("#!/bin/sh\nexit 1\n")
        (programs / name).chmod(0o755)
    shell.variables["PATH"] = f"{programs}:/usr/bin:/bin"
    shell.variables["ANTHROPIC_API_KEY"] = KEY
    with SandboxServer([Account("a", KEY)]) as server:
        shell.write("proxy-config.yaml", f"version: 1\ndefaultBaseUrl: {server.url}\n")
        yield shell


@pytest.fixture
def vscode(shell: Shell) -> Path:
    path = shell.home / ".config" / "Code" / "User" / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text(SETTINGS)
    return path


@pytest.fixture
def port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


def setup(shell: Shell, port: str, *arguments: str) -> Program:
    return shell.run("proxy", "setup", "--no-service", "--port", port, *arguments)


def env(shell: Shell) -> dict[str, str]:
    settings: dict[str, dict[str, str]] = json.loads(shell.claude_settings.read_text())
    return settings["env"]


def test_what_was_chosen_is_set_while_a_proxy_runs(shell: Shell, port: str, vscode: Path) -> None:
    url = f"http://127.0.0.1:{port}"
    ended = setup(shell, port, "--model-discovery", "--vscode")
    assert ended.process.returncode == 0, str(ended)
    assert f"[ok] {MODEL_DISCOVERY}=1: Claude Code's /model" in ended.said
    assert f"[ok] VS Code's extension comes to {url}" in ended.said
    assert env(shell)[MODEL_DISCOVERY] == "1"
    assert values(vscode.read_text(), NAMES) == dict(
        zip(NAMES, (f'"{url}"', '"1"', None), strict=True)
    )

    again = setup(shell, port, "--no-model-discovery", "--fine-grained-tool-streaming")
    assert again.process.returncode == 0, str(again)
    assert (MODEL_DISCOVERY in env(shell), env(shell)[TOOL_STREAMING]) == (False, "1")
    assert values(vscode.read_text(), NAMES) == dict(
        zip(NAMES, (f'"{url}"', None, '"1"'), strict=True)
    )

    assert shell.run("proxy", "stop").process.returncode == 0
    assert vscode.read_text() == SETTINGS
    assert not shell.claude_settings.exists()
    proxy, _ = shell.serve()
    assert env(shell)[TOOL_STREAMING] == "1"
    assert '"ANTHROPIC_BASE_URL"' in vscode.read_text()

    proxy.kill_alone()  # the guard restores both
    wait_until(lambda: vscode.read_text() == SETTINGS, "VS Code's settings are as before")
    wait_until(lambda: not shell.claude_settings.exists(), "Claude Code's are")


def test_uninstall_restores_all_and_forgets_it(shell: Shell, port: str, vscode: Path) -> None:
    ended = setup(shell, port, "--vscode-settings", str(vscode), "--model-discovery")
    assert ended.process.returncode == 0, str(ended)
    kept = shell.home / ".neurolink" / "claude-choices.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert shell.run("proxy", "uninstall").process.returncode == 0
    assert not kept.exists()
    assert shell.run("proxy", "uninstall", "--purge", "--yes").process.returncode == 0
    assert vscode.read_text() == SETTINGS
    assert not (shell.home / ".neurolink").exists()


def test_options_that_can_not_be_followed(shell: Shell, port: str) -> None:
    nothing = setup(shell, port, "--vscode")
    assert nothing.process.returncode == 2
    assert "--vscode-settings PATH" in nothing.complained
    both = setup(shell, port, "--no-vscode", "--vscode-settings", "x")
    assert both.process.returncode == 2
    shell.write("claude-choices.json", "{")
    broken = setup(shell, port, "--model-discovery")
    assert broken.process.returncode == 1
    assert "claude-choices.json can't be read" in broken.complained
    assert (shell.home / ".neurolink" / "claude-choices.json").read_text() == "{"
