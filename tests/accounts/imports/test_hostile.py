"""Any value in any member of another program's files: an entry with a reason, or one error; never a secret."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurolink_mitm.accounts.imports import ccflare, ccr, cliproxyapi, original
from neurolink_mitm.accounts.imports.ccflare import _COLUMNS as COLUMNS
from neurolink_mitm.accounts.imports.entries import Findings, SourceError
from neurolink_mitm.accounts.imports.plan import plan
from neurolink_mitm.adapters.other_programs import Program

TOKEN = "sk-ant-oat01-test-x"
TEXTS = ["", "\ud800", "\x00\x1b", TOKEN, f"{TOKEN}\n", "x" * 9000, "$A", "2030-01-01", "9" * 400]
URLS = ["https://api.anthropic.com", "http://[", f"https://u:{TOKEN}@x"]
NUMBERS = [None, True, 0, -1, 10**30, 10**400, 1e308, float("nan"), float("inf")]
PLAIN = st.sampled_from([*TEXTS, *URLS, *NUMBERS])
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "\ud800"]), inner, max_size=2)
    ),
    max_leaves=3,
)
AUTH = (
    "type", "access_token", "refresh_token", "expired", "email", "account_uuid", "disabled",
    "proxy_url", "headers", "base_url", "api_key",
)  # fmt: skip
STORE = (
    "tokens", "accessToken", "refreshToken", "expiresAt", "scope", "disabled", "disabledReason",
    "type", "apiKey", "email", "account", "oauth",
)  # fmt: skip
PROVIDER = ("name", "api_base_url", "api_key", "enabled", "transformer", "extraHeaders")


def objects(names: tuple[str, ...]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(names), VALUES)


def of_store() -> st.SearchStrategy[Any]:
    tokens = objects(STORE)
    return st.builds(lambda entry, tokens: entry | {"tokens": tokens}, objects(STORE), tokens)


Find = Callable[[Path, dict[str, str], float], Findings]


def check(find: Find, place: Path) -> None:
    try:
        findings = find(place, {"HOME": str(place)}, 1.8e9)
    except SourceError as e:
        findings = Findings(Program("it"), str(e))
    steps = plan(findings.entries, (), 1.8e9)
    told = str([(step.entry.name, step.reason, step.entry.where) for step in steps])
    told += findings.place + str(findings.settings)
    assert TOKEN not in told
    assert told.isprintable()


quickly = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    (tmp_path / "theirs").mkdir()
    return tmp_path / "theirs"


@quickly
@given(row=objects(AUTH))
def test_auth_files(theirs: Path, row: Any) -> None:
    (theirs / "claude.json").write_text(json.dumps({"type": "claude", **row}))
    check(cliproxyapi.find, theirs)


@quickly
@given(entry=of_store(), key=st.sampled_from(["anthropic:a", "anthropic", "anthropic:\ud800", "x"]))
def test_stores(theirs: Path, entry: Any, key: str) -> None:
    (theirs / "tokens.json").write_text(json.dumps({"providers": {key: entry}}))
    check(original.find, theirs)


@quickly
@given(rows=st.lists(objects(PROVIDER), max_size=2))
def test_providers(theirs: Path, rows: Any) -> None:
    (theirs / "config.json").write_text(json.dumps({"Providers": rows}))
    check(ccr.find, theirs)


@quickly
@given(row=st.dictionaries(st.sampled_from(COLUMNS[2:]), PLAIN | st.binary(max_size=9)))
def test_tables(theirs: Path, row: dict[str, Any]) -> None:
    path = theirs / "better-ccflare.db"
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE accounts ({', '.join(COLUMNS)})")
    values = [_bindable(row.get(name, "x")) for name in COLUMNS]
    connection.execute(f"INSERT INTO accounts VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608
    connection.commit()
    connection.close()
    check(ccflare.find, theirs)


def _bindable(value: object) -> object:
    """Return what SQLite can store of `value`."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass") if "\ud800" in value else value
    return str(value) if isinstance(value, int) and value > 2**63 else value
