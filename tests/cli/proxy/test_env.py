from __future__ import annotations

import subprocess

import pytest

from tests.cli.conftest import Running
from tests.cli.processes import Shell


def test_a_shell_that_reads_it_is_pointed_at_the_proxy(running: Running) -> None:
    said = running.shell.run("proxy", "env").said
    done = subprocess.run(
        ["bash", "-c", f"{said}\nenv"], env={}, capture_output=True, text=True, check=True
    )
    assert f"ANTHROPIC_BASE_URL={running.url}" in done.stdout.splitlines()
    assert "ENABLE_TOOL_SEARCH=true" in done.stdout.splitlines()


def test_a_claude_code_without_a_login_gets_a_token(running: Running) -> None:
    assert "export ANTHROPIC_AUTH_TOKEN=neurolink" in running.shell.run("proxy", "env").said


def test_a_login_is_not_pushed_aside(running: Running) -> None:
    credentials = running.shell.home / ".claude" / ".credentials.json"
    credentials.parent.mkdir(exist_ok=True)
    credentials.write_text('{"claudeAiOauth": {"accessToken": "sk-ant-oat-test-1"}}')
    assert "ANTHROPIC_AUTH_TOKEN" not in running.shell.run("proxy", "env").said
    credentials.unlink()


def test_a_client_key_is_asked_for_where_callers_must_show_one(shell: Shell) -> None:
    assert shell.run("clients", "add", "laptop").process.returncode == 0
    shell.serve("--sandbox")
    ended = shell.run("proxy", "env")
    assert "ANTHROPIC_AUTH_TOKEN" not in ended.said
    assert "neurolink clients add NAME, then set ANTHROPIC_AUTH_TOKEN" in ended.complained


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "export ANTHROPIC_BASE_URL={}"),
        ("zsh", "export ANTHROPIC_BASE_URL={}"),
        ("fish", "set -gx ANTHROPIC_BASE_URL {};"),
    ],
)
def test_every_shell_has_its_language(running: Running, shell: str, line: str) -> None:
    said = running.shell.run("proxy", "env", "--shell", shell).said
    assert said.splitlines()[0] == line.format(running.url)


def test_without_a_proxy_nothing_is_exported(shell: Shell) -> None:
    ended = shell.run("proxy", "env")
    assert (ended.process.returncode, ended.said) == (3, "")
    assert "is not running" in ended.complained
