from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from neurolink_mitm.accounts.imports import ccflare
from neurolink_mitm.accounts.imports.entries import Findings, SourceError
from tests.accounts.imports.snapshot import snapshot

NOW = 1_800_000_000.0
OLDEST = (
    "CREATE TABLE accounts (id TEXT PRIMARY KEY, name TEXT, provider TEXT, api_key TEXT,"
    " refresh_token TEXT, access_token TEXT, expires_at INTEGER"
)
NEWER = (
    ", paused INTEGER DEFAULT 0, pause_reason TEXT, requires_reauth INTEGER DEFAULT 0,"
    " custom_endpoint TEXT"
)
ACCESS, REFRESH, KEY = "sk-ant-oat01-test-a", "sk-ant-ort01-test-a", "sk-ant-api03-test-a"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".config" / "better-ccflare").mkdir(parents=True)
    return tmp_path / ".config" / "better-ccflare"


def made(path: Path, *rows: dict[str, object], newer: bool = True, more: str = "") -> None:
    connection = sqlite3.connect(path)
    connection.executescript(f"{OLDEST}{NEWER if newer else ''});{more}")
    for number, row in enumerate(rows):
        row = {"id": f"id-{number}", **row}
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        sql = f"INSERT INTO accounts ({names}) VALUES ({marks})"  # noqa: S608
        connection.execute(sql, list(row.values()))
    connection.commit()
    connection.close()


def found(folder: Path, path: Path | None = None, **variables: str) -> Findings:
    before = snapshot(folder)
    environ = {"HOME": str(folder.parents[1]), **variables}
    findings = ccflare.find(path, environ, NOW)
    assert snapshot(folder) == before
    return findings


LOGIN = {
    "provider": "anthropic",
    "access_token": ACCESS,
    "refresh_token": REFRESH,
    "expires_at": 1_900_000_000_000,
}


def test_logins_and_keys_are_taken(folder: Path) -> None:
    made(
        folder / "better-ccflare.db",
        {"name": "plan", **LOGIN},
        {"name": "key", "provider": "claude-console-api", "api_key": KEY},
    )
    accounts = [entry.account for entry in found(folder).entries]
    assert [(each.label, each.type, each.origin) for each in accounts if each] == [
        ("key", "api_key", None),
        ("plan", "oauth", "ccflare:id-0"),
    ]
    assert accounts[1] is not None
    assert accounts[1].expires_at == 1_900_000_000


def test_what_is_left_says_why(folder: Path) -> None:
    made(
        folder / "better-ccflare.db",
        {"name": "a", **LOGIN, "paused": 1, "pause_reason": "overage"},
        {"name": "b", **LOGIN, "requires_reauth": 1},
        {"name": "c", **LOGIN, "custom_endpoint": "https://evil.example.com"},
        {"name": "d", **LOGIN, "provider": "zai"},
        {"name": "e", "provider": "anthropic", "refresh_token": REFRESH},
        {"name": "f", **LOGIN, "access_token": b"\x00\x01"},
        {"name": "g", **LOGIN, "expires_at": 5, "refresh_token": None},
    )
    findings = found(folder)
    assert [entry.reason for entry in findings.entries] == [
        "it is paused there: overage",
        "it needs a login there",
        "it is for https://evil.example.com, not for Anthropic",
        "another provider's (zai)",
        "it has no access token yet: use it there once, or log in here",
        "its access token is missing",
        "its token has expired, and there is none to refresh it",
    ]
    assert [(each.where, each.name) for each in findings.settings] == [("c", "custom_endpoint")]


def test_an_earlier_database_is_read_too(folder: Path) -> None:
    older = folder.parent / "ccflare"
    older.mkdir()
    made(older / "ccflare.db", {"name": "k", "provider": "anthropic", "api_key": KEY}, newer=False)
    assert [entry.account is not None for entry in found(folder).entries] == [True]


def test_it_lies_where_path_or_variables_say(folder: Path) -> None:
    made(folder / "x.db", {"name": "x", **LOGIN})
    assert found(folder, folder / "x.db").place == str(folder / "x.db")
    assert found(folder, BETTER_CCFLARE_DB_PATH=str(folder / "x.db")).entries != ()
    with pytest.raises(SourceError, match=r"better-ccflare\.db is not there"):
        found(folder, folder.parent)


def test_another_database_is_refused(folder: Path) -> None:
    connection = sqlite3.connect(folder / "better-ccflare.db")
    connection.execute("CREATE TABLE notes (id)")
    connection.close()
    with pytest.raises(SourceError, match="no table of accounts"):
        found(folder)


@pytest.mark.parametrize(("ago", "runs"), [(5, True), (60, False)])
def test_a_heartbeat_tells_that_it_runs(folder: Path, ago: int, runs: bool) -> None:
    table = "CREATE TABLE instance_heartbeats AS SELECT 7 AS pid, {} AS last_heartbeat;"
    more = table.format((NOW - ago) * 1000)
    made(folder / "better-ccflare.db", {"name": "plan", **LOGIN}, more=more)
    assert (found(folder).runs is not None) == runs


def test_its_configuration_is_listed(folder: Path) -> None:
    made(folder / "better-ccflare.db")
    proxy = {"outbound_proxy": "http://u:pw@proxy:1", "port": 8080}
    (folder / "better-ccflare.json").write_text(json.dumps(proxy))
    (setting,) = found(folder).settings
    assert setting.name == "outbound_proxy"
    assert "pw" not in setting.value
