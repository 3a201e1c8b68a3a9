from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.accounts.imports import original
from neurolink_mitm.accounts.imports.entries import Findings, SourceError
from neurolink_mitm.core.auth.original_store import NEVER
from tests.accounts.imports.snapshot import snapshot
from tests.obfuscated import obfuscate

LOGIN = {
    "accessToken": "sk-ant-oat01-test-1",
    "refreshToken": "sk-ant-ort01-test-1",
    "expiresAt": 1.9e12,
}
KEY = {"accessToken": "sk-ant-api03-test-1", "expiresAt": NEVER, "tokenType": "api-key"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".neurolink").mkdir()
    return tmp_path / ".neurolink"


def found(folder: Path, path: Path | None = None) -> Findings:
    before = snapshot(folder)
    findings = original.find(path, {"HOME": str(folder.parent)}, 1.8e9)
    assert snapshot(folder) == before
    return findings


def store(folder: Path, providers: dict[str, Any], *, hidden: bool = True) -> Path:
    text = json.dumps({"version": "2.0", "providers": providers})
    path = folder / "tokens.json"
    path.write_bytes(obfuscate(text, str(folder.parent)) if hidden else text.encode())
    return path


@pytest.mark.parametrize("hidden", [True, False])
def test_each_entry_is_taken_or_says_why_not(folder: Path, hidden: bool) -> None:
    providers = {
        "anthropic:work": {"tokens": {**LOGIN, "scope": "user:inference email:me@example.com"}},
        "anthropic:key": {"tokens": KEY},
        "anthropic:off": {"tokens": LOGIN, "disabled": True, "disabledReason": "refresh_failed"},
        "anthropic:broken": {"tokens": {}},
        "openai": {"tokens": LOGIN},
    }
    store(folder, providers, hidden=hidden)
    entries = found(folder).entries
    reasons = [entry.reason for entry in entries]
    assert [entry.account.label for entry in entries if entry.account] == ["work", "key"]
    assert reasons[2] == "it is disabled there: by the original NeuroLink: refresh_failed"
    assert reasons[3].startswith("it is broken: providers")
    assert reasons[4] == "another provider's (openai)"
    assert entries[0].account is not None
    assert entries[0].account.origin == "neurolink:anthropic:work"


def test_legacy_credentials_and_keys_of_the_configuration_are_taken(folder: Path) -> None:
    legacy = {"type": "api-key", "apiKey": "sk-ant-api03-test-2"}
    (folder / "anthropic-credentials.json").write_text(json.dumps(legacy))
    accounts = (
        "[{name: a, apiKey: sk-ant-api03-test-3}, {name: b, apiKey: '${KEY}'},"
        " {name: c, apiKey: sk-ant-api03-test-4, baseUrl: 'http://x'}]"
    )
    (folder / "proxy-config.yaml").write_text(f"accounts: {{anthropic: {accounts}}}")
    findings = found(folder)
    assert [entry.reason for entry in findings.entries] == [
        "",
        "",
        "its key is in a variable",
        "it is for http://x, not for Anthropic",
    ]
    assert [each.value for each in findings.settings] == ["http://x"]


def test_a_backup_can_be_named(folder: Path) -> None:
    path = store(folder, {"anthropic:work": {"tokens": LOGIN}})
    backup = path.rename(folder / "tokens.json.original-5")
    assert [entry.account is not None for entry in found(folder, backup).entries] == [True]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "holds no accounts"),
        (b"x", "cut off|written with another"),
        (b"A" * 100, "written with another home directory"),
        (b'{"a": 1', "is not JSON"),
        (b"\xff", "not a text file"),
    ],
)
def test_what_can_not_be_read_is_one_error(folder: Path, content: bytes | None, fault: str) -> None:
    if content is not None:
        (folder / "tokens.json").write_bytes(content)
    with pytest.raises(SourceError, match=fault):
        found(folder)
