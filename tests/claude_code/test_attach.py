"""Attached to a proxy that this very process stands for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.state_file import process_start
from neurolink_mitm.claude_code.attach import ClaudeCode, has_login

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


URL = "http://127.0.0.1:9"


@pytest.fixture
def place(tmp_path: Path) -> Home:
    place = Home(tmp_path / "home")
    place.create()
    return place


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settings.json"


def test_settings_and_guard_are_there_until_it_is_detached(place: Home, path: Path) -> None:
    claude_code = ClaudeCode(place, path)
    claude_code.attach(os.getpid(), URL)
    assert URL in path.read_text()
    guard = claude_code.guard_pid
    assert guard is not None
    assert process_start(guard)
    claude_code.detach(os.getpid())
    assert not path.exists()
    assert process_start(guard) is None


def test_without_settings_there_is_nothing_to_guard(
    place: Home, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("{")
    claude_code = ClaudeCode(place, path)
    claude_code.attach(os.getpid(), URL)
    assert (claude_code.attached, claude_code.guard_pid) == (False, None)
    assert "neurolink proxy env" in caplog.text
    claude_code.detach(os.getpid())
    assert path.read_text() == "{"


def test_what_can_not_be_put_back_is_told(
    place: Home, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    claude_code = ClaudeCode(place, path)
    claude_code.attach(os.getpid(), URL)
    path.write_text("{")
    claude_code.detach(os.getpid())
    assert str(path) in caplog.text
    assert "next start tries again" in caplog.text
    assert path.read_text() == "{"
