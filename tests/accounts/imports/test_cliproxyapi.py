from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.accounts.imports import cliproxyapi
from neurolink_mitm.accounts.imports.entries import Entry, Findings, SourceError
from tests.accounts.imports.snapshot import snapshot

NOW = 1_800_000_000.0
CLAUDE = {
    "type": "claude",
    "id_token": "",
    "access_token": "sk-ant-oat01-test-a",
    "refresh_token": "sk-ant-ort01-test-a",
    "email": "me@example.com",
    "account_uuid": "u",
    "organization_uuid": "o",
    "organization_name": "Mine",
    "expired": "2030-03-17T17:46:40Z",
    "last_refresh": "2030-03-17T09:46:40Z",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".cli-proxy-api").mkdir()
    return tmp_path / ".cli-proxy-api"


def put(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def found(folder: Path, path: Path | None = None) -> Findings:
    before = snapshot(folder)
    findings = cliproxyapi.find(path, {"HOME": str(folder.parent)}, NOW)
    assert snapshot(folder) == before
    return findings


def by_where(findings: Findings) -> dict[str, Entry]:
    return {entry.where: entry for entry in findings.entries}


def test_a_login_is_taken_with_its_owner(folder: Path) -> None:
    put(folder / "claude-me@example.com.json", CLAUDE)
    (entry,) = found(folder).entries
    account = entry.account
    assert account is not None
    assert (account.label, account.type, account.expires_at) == (
        "me@example.com",
        "oauth",
        1_900_000_000,
    )
    assert (account.account_uuid, account.organization_uuid) == ("u", "o")
    assert account.origin == "cliproxyapi:claude-me@example.com.json"


def test_each_file_that_is_left_says_why(folder: Path) -> None:
    put(folder / "codex.json", {"type": "codex", "access_token": "x"})
    put(folder / "off.json", {**CLAUDE, "disabled": True})
    put(folder / "old.json", {**CLAUDE, "refresh_token": "", "expired": "2020-01-01T00:00:00Z"})
    put(folder / "broken.json", "{")
    put(folder / "elsewhere.json", {**CLAUDE, "base_url": "https://evil.example.com"})
    put(folder / "sub" / "deep.json", CLAUDE)
    put(folder / "note.txt", "not read")
    os.mkfifo(folder / "fifo.json")
    reasons = {where: entry.reason for where, entry in by_where(found(folder)).items()}
    assert reasons.pop("deep.json") == ""
    assert reasons == {
        "broken.json": f"the file is broken: {folder}/broken.json is not JSON",
        "codex.json": "another provider's (codex)",
        "elsewhere.json": "it is for https://evil.example.com, not for Anthropic",
        "fifo.json": f"the file is broken: {folder}/fifo.json can't be read: is no regular file",
        "off.json": "it is disabled there",
        "old.json": "its token has expired, and there is none to refresh it",
    }


def test_settings_are_listed_without_passwords_or_header_values(folder: Path) -> None:
    put(folder / "a.json", {**CLAUDE, "proxy_url": "socks5://u:pw@p:1", "headers": {"X-A": "pw"}})
    settings = [(each.name, each.value) for each in found(folder).settings]
    assert ("headers", "X-A") in settings
    assert [name for name, _ in settings] == ["proxy_url", "headers"]
    assert "pw" not in str(settings)


def test_keys_of_the_configuration_are_taken(folder: Path) -> None:
    put(
        folder / "config.yaml",
        "proxy-url: http://p\napi-keys: [a, b]\n"
        "claude-api-key:\n- {api-key: sk-ant-api-test-1, headers: {X: y}}\n"
        "- {api-key: sk-ant-api-test-2, base-url: 'https://evil.example.com'}\n"
        "gemini-api-key:\n- {api-key: AI}\n",
    )
    findings = found(folder)
    assert [entry.account is not None for entry in findings.entries] == [True, False, False]
    assert [entry.reason for entry in findings.entries][1:] == [
        "it is for https://evil.example.com, not for Anthropic",
        "another provider's (gemini-api-key)",
    ]
    assert [(each.name, each.value) for each in findings.settings] == [
        ("headers", "X"),
        ("base-url", "https://evil.example.com"),
        ("proxy-url", "http://p"),
        ("api-keys", "2 entries"),
    ]
    assert found(folder, folder / "config.yaml") != ()


def test_one_file_can_be_named(folder: Path) -> None:
    put(folder / "a.json", CLAUDE)
    put(folder / "b.json", CLAUDE)
    assert len(found(folder, folder / "b.json").entries) == 1


@pytest.mark.parametrize("name", ["none", "config.yaml"])
def test_what_is_not_there_or_broken_is_one_error(folder: Path, name: str) -> None:
    put(folder / "config.yaml", "a: [")
    with pytest.raises(SourceError, match=name):
        found(folder, folder / name)


def test_a_folder_of_too_many_files_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cliproxyapi, "MOST_FILES", 1)
    put(folder / "a.json", CLAUDE)
    put(folder / "b.json", CLAUDE)
    with pytest.raises(SourceError, match="more than 1 files"):
        found(folder)
