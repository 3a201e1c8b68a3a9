from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.logins import kept, neurolink

OAUTH = {
    "accessToken": "sk-ant-oat-test-cc",
    "refreshToken": "sk-ant-ort-test-cc",
    "expiresAt": 4_000_000_000_000,
    "scopes": ["user:inference"],
    "subscriptionType": "max",
}
OWNER = {
    "accountUuid": "u",
    "emailAddress": "me@example.com",
    "organizationUuid": "o",
    "organizationName": "Mine",
}


@pytest.fixture
def folder(home: Path) -> Path:
    folder = home / ".claude"
    folder.mkdir()
    return folder


def write(path: Path, document: Any) -> bytes:
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return path.read_bytes()


def test_the_login_is_adopted_and_the_original_untouched(home: Path, folder: Path) -> None:
    before = write(folder / ".credentials.json", {"claudeAiOauth": OAUTH})
    write(folder / ".claude.json", {"oauthAccount": OWNER, "numStartups": 3})
    stat = (folder / ".credentials.json").stat()
    result = neurolink("login", "anthropic", "--method", "import")
    assert result.exit_code == 0
    assert "can log the other out" in result.stderr
    found = kept(home)["me@example.com"]
    assert found["tokens"]["refreshToken"] == OAUTH["refreshToken"]
    assert found["tokens"]["expiresAt"] == OAUTH["expiresAt"]
    assert found["account"]["organizationName"] == "Mine"
    assert found["account"]["subscriptionType"] == "max"
    assert "  max  " in neurolink("list").stdout
    assert (folder / ".credentials.json").read_bytes() == before
    assert (folder / ".credentials.json").stat().st_mtime_ns == stat.st_mtime_ns
    assert sorted(path.name for path in folder.iterdir()) == [".claude.json", ".credentials.json"]


def test_without_an_owner_it_is_called_after_the_program(home: Path, folder: Path) -> None:
    write(folder / ".credentials.json", {"claudeAiOauth": OAUTH})
    neurolink("login", "anthropic", "--method", "import")
    assert [*kept(home)] == ["claude-code"]


def test_by_default_it_is_looked_for_in_the_home(
    home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLAUDE_CONFIG_DIR")
    write(folder / ".credentials.json", {"claudeAiOauth": OAUTH})
    write(home / ".claude.json", {"oauthAccount": OWNER})
    neurolink("login", "anthropic", "--method", "import", "--non-interactive")
    assert [*kept(home)] == ["me@example.com"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "is not there: log in with Claude Code first", id="no file"),
        pytest.param("{hunter2", "is not what Claude Code writes", id="broken"),
        pytest.param("[]", "is not what Claude Code writes", id="another shape"),
        pytest.param("{}", "holds no login", id="no login"),
        pytest.param('{"claudeAiOauth": {"accessToken": "a b"}}', "must be printable", id="token"),
    ],
)
def test_what_can_not_be_adopted_says_what_to_do(
    home: Path, folder: Path, content: str | None, words: str
) -> None:
    if content is not None:
        (folder / ".credentials.json").write_text(content)
    result = neurolink("login", "anthropic", "--method", "import")
    assert (result.exit_code, words in result.stderr) == (1, True), result.stderr
    assert "--method oauth" in result.stderr
    assert "hunter2" not in result.output
    assert not (home / ".neurolink" / "tokens.json").exists()
