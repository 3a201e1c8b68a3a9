"""Claude Code's login, by its files and variables."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from neurolink_mitm.claude_code.login import ImportFailed, has_login, read_login

LOGIN = '{"claudeAiOauth": {"accessToken": "sk-ant-oat-test-1"}}'


@pytest.mark.parametrize(
    ("files", "known"),
    [
        ({}, False),
        ({".claude/.credentials.json": LOGIN}, True),
        ({".claude/.credentials.json": "{}"}, False),
        ({".claude/.credentials.json": "{"}, False),
        ({".claude.json": '{"oauthAccount": {"emailAddress": "ada@example.com"}}'}, True),
        ({".claude.json": '{"numStartups": 3}'}, False),
        ({".claude/settings.json": '{"apiKeyHelper": "/bin/key"}'}, True),
        ({".claude/settings.json": '{"env": {"ANTHROPIC_AUTH_TOKEN": "x"}}'}, True),
        ({".claude/settings.json": '{"env": {"ANTHROPIC_BASE_URL": "x"}}'}, False),
        ({".claude/settings.json": "[]"}, False),
    ],
)
def test_a_login_is_seen_in_claude_codes_files(
    tmp_path: Path, files: dict[str, str], known: bool
) -> None:
    (tmp_path / ".claude").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert has_login({"HOME": str(tmp_path)}) is known


def test_a_folder_of_its_own_holds_all_of_it(tmp_path: Path) -> None:
    (tmp_path / ".claude.json").write_text('{"primaryApiKey": "x"}')
    assert has_login({"HOME": "/nowhere", "CLAUDE_CONFIG_DIR": str(tmp_path)})


@pytest.mark.parametrize("name", ["ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"])
def test_a_variable_is_a_credential_too(tmp_path: Path, name: str) -> None:
    assert has_login({"HOME": str(tmp_path), name: "x"})


def test_without_a_home_nothing_is_known() -> None:
    assert not has_login({})


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".credentials.json")
    environ = {"HOME": "/nowhere", "CLAUDE_CONFIG_DIR": str(tmp_path)}
    assert not has_login(environ)
    with pytest.raises(ImportFailed, match="is no regular file"):
        read_login(environ)
