from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.accounts.imports import ccr
from neurolink_mitm.accounts.imports.entries import Findings, SourceError
from tests.accounts.imports.snapshot import snapshot

URL = "https://api.anthropic.com/v1/messages"
OWN = {"name": "anthropic", "api_base_url": URL, "api_key": "sk-ant-api-test-1"}
OTHER = {"name": "or", "api_base_url": "https://openrouter.ai/api/v1", "api_key": "sk-or"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".claude-code-router").mkdir()
    return tmp_path / ".claude-code-router"


def found(folder: Path, path: Path | None = None) -> Findings:
    before = snapshot(folder)
    findings = ccr.find(path, {"HOME": str(folder.parent)}, 0.0)
    assert snapshot(folder) == before
    return findings


def config(folder: Path, *providers: Any, **more: Any) -> None:
    text = json.dumps({"Providers": providers, **more})
    (folder / "config.json").write_text(f"// JSON5\n{text[:-1]},}}")


def test_a_provider_that_is_anthropic_is_taken_and_others_are_listed(folder: Path) -> None:
    config(folder, OWN, OTHER, 7)
    findings = found(folder)
    assert [entry.reason for entry in findings.entries] == [
        "",
        "another provider's (https://openrouter.ai/api/v1)",
    ]
    assert findings.entries[0].account is not None
    assert findings.entries[0].account.label == "anthropic"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"api_key": "$MY_KEY"}, "its key is in the variable MY_KEY"),
        ({"api_key": "${MY_KEY}"}, "its key is in the variable MY_KEY"),
        ({"api_key": "sk-xxx"}, "the key can't be used"),
        ({"enabled": False}, "it is disabled there"),
        ({"api_base_url": "https://api.anthropic.com.evil.example.com"}, "it is for https://api"),
        ({"api_base_url": 7}, "another provider's"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_left_says_why(folder: Path, change: dict[str, Any], reason: str) -> None:
    config(folder, OWN | change)
    (entry,) = found(folder).entries
    assert entry.account is None
    assert entry.reason.startswith(reason)


def test_settings_are_listed(folder: Path) -> None:
    config(
        folder, OTHER | {"transformer": {"use": ["x"]}}, PROXY_URL="http://p", APIKEY="their-secret",
        CUSTOM_ROUTER_PATH="/x/router.js",
    )  # fmt: skip
    settings = found(folder).settings
    names = ["PROXY_URL", "CUSTOM_ROUTER_PATH", "APIKEY", "api_base_url", "transformer"]
    assert [each.name for each in settings] == names
    assert "their-secret" not in str(settings)


def test_the_newer_database_goes_before_the_older_file(folder: Path) -> None:
    config(folder, OTHER)
    connection = sqlite3.connect(folder / "config.sqlite")
    connection.execute("CREATE TABLE app_config (key TEXT, value_json TEXT)")
    connection.execute(
        "INSERT INTO app_config VALUES ('default', ?)", [json.dumps({"Providers": [OWN]})]
    )
    connection.commit()
    connection.close()
    findings = found(folder)
    assert findings.place == str(folder / "config.sqlite")
    assert [entry.account is not None for entry in findings.entries] == [True]
    assert len(found(folder, folder / "config.json").entries) == 1


def test_what_is_not_there_is_one_error(folder: Path) -> None:
    with pytest.raises(SourceError, match=r"config\.json is not there"):
        found(folder)


def test_it_is_noticed_by_its_files_of_pids(folder: Path) -> None:
    config(folder, OWN)
    names = [path.name for path in found(folder).program.pid_files]
    assert names == [".claude-code-router.pid", "service.json"]
