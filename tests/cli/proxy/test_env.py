from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from neurolink_mitm.cli.proxy import env
from neurolink_mitm.cli.proxy.tool_settings import NO_KEY, TOOLS
from tests.cli.conftest import Running
from tests.cli.processes import Shell


def report(*types: str, **fields: Any) -> dict[str, Any]:
    """A report of `/status` with accounts of these types."""
    accounts = [{"type": each} for each in types]
    return {
        "strategy": "round-robin",
        "stats": {"accounts": accounts},
        "fallbackChain": [],
        **fields,
    }


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
    ended = shell.run("proxy", "env", "--for", "openai")
    assert "OPENAI_API_KEY" not in ended.said
    assert "OPENAI_API_KEY has to be what this shows" in ended.complained
    shell.variables["OPENAI_API_KEY"] = "sk-nl-their-own-0123456789"
    assert shell.run("proxy", "env", "--for", "openai").complained == ""
    ended = shell.run("proxy", "env", "--for", "continue")
    assert 'apiKey: "<client key>"' in ended.said
    assert "<client key> has to be" in ended.complained


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


def test_any_program_that_reads_openais_variables_is_pointed_at_the_proxy(running: Running) -> None:
    lines = running.shell.run("proxy", "env", "--for", "openai").said.splitlines()
    assert lines == [
        f"export OPENAI_BASE_URL={running.url}/v1",
        f"export OPENAI_API_BASE={running.url}/v1",
        f"export OPENAI_API_KEY={NO_KEY}",
    ]


@pytest.mark.parametrize(
    ("tool", "part"),
    [
        ("codex", 'base_url = "{}/v1"'),
        ("aider", 'openai-api-base: "{}/v1"'),
        ("continue", 'apiBase: "{}/v1"'),
    ],
)
def test_other_tools_get_their_file(running: Running, tool: str, part: str) -> None:
    ended = running.shell.run("proxy", "env", "--for", tool)
    assert part.format(running.url) in ended.said
    assert ended.complained == ""


def test_aiders_file_names_one_that_is_there(running: Running) -> None:
    file = yaml.safe_load(running.shell.run("proxy", "env", "--for", "aider").said)
    models = json.loads(Path(file["model-metadata-file"]).read_text())
    assert {file["model"], file["weak-model"]} <= models.keys()


def test_cursor_is_not_sent_to_this_machine(running: Running) -> None:
    ended = running.shell.run("proxy", "env", "--for", "cursor")
    assert ended.process.returncode == 0
    assert "public HTTPS address" in ended.said
    assert "127.0.0.1" not in ended.said


def test_an_unknown_tool_is_a_usage_error_that_lists_them(shell: Shell) -> None:
    ended = shell.run("proxy", "env", "--for", "emacs")
    assert ended.process.returncode == 2
    for tool in TOOLS:
        assert repr(tool) in ended.complained


@pytest.mark.parametrize(
    ("report", "hint"),
    [
        (report(), "has no account yet. Add an API key"),
        (
            report("oauth"),
            "are subscriptions, and these serve Claude Code's own requests only. Add",
        ),
        (report("oauth", "api_key"), ""),
        (report("oauth", fallbackChain=[{"provider": "openai", "model": "gpt-5"}]), ""),
        (report(strategy="passthrough"), ""),
        ({}, ""),
    ],
    ids=["no account", "subscriptions", "API key", "chain", "passthrough", "no answer"],
)
def test_who_would_be_refused_hears_it_before(
    capsys: pytest.CaptureFixture[str], report: dict[str, Any], hint: str
) -> None:
    env.say_what_serves(report)
    complained = capsys.readouterr().err
    assert hint in complained
    assert bool(complained) is bool(hint)


def test_where_only_the_chain_serves_its_models_are_named() -> None:
    chain = [{"provider": "openai", "model": "gpt-5"}, {"provider": "groq", "model": "llama"}]
    assert env.models(report("oauth", fallbackChain=chain)) == ("gpt-5", "llama")
    assert env.models(report("api_key", fallbackChain=chain))[0].startswith("claude-sonnet-")
