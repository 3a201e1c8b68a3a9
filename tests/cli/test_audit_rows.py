"""Which row each command that changes something leaves in the audit log; what changes nothing leaves none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.persisted_state import write_cooldowns
from neurolink_mitm.cli import main
from neurolink_mitm.cli.top.actions import done
from neurolink_mitm.cli.top.state import Account, Pause, Resume
from neurolink_mitm.core.pool.cooldown import Cooldown
from neurolink_mitm.core.pool.persisted import PersistedState
from neurolink_mitm.records.audit import changes
from tests.cli.logins import PASSED, entry, put, stored
from tests.fakes import NOW
from tests.schemas import faults

Row = dict[str, Any]


@pytest.fixture
def folder(home: Path) -> Home:
    stored(
        home,
        {
            "work": entry("sk-ant-oat-test-1", uuid="u1", email="w@example.com"),
            "home": entry("sk-ant-oat-test-2", uuid="u2"),
            "ended": entry("sk-ant-oat-test-3", ends=PASSED),
        },
    )
    put(home, "proxy-config.yaml", "version: 1\n")
    return Home(home / ".neurolink")


def run(*arguments: str, answers: str | None = None) -> None:
    result = CliRunner().invoke(main, arguments, input=answers)
    assert result.exit_code == 0, result.output


def rows(folder: Home, count: int = 99) -> list[Row]:
    read = changes(folder.logs, count)
    assert [fault for row in read for fault in faults("audit", row)] == []
    text = json.dumps(read)
    assert "sk-" not in text
    assert "w@example.com" not in text
    assert {row["actor"] for row in read} <= {"command line", "top"}
    return read


def last(folder: Home) -> tuple[str, str | None, Any, Any]:
    [row] = rows(folder, 1)
    return row["action"], row["target"], row["before"], row["after"]


def test_accounts(folder: Home) -> None:
    run("auth", "pause", "work", "--reason", "meeting")
    assert last(folder) == ("pause", "work", None, {"until": None, "reason": "meeting"})
    run("auth", "pause", "work", "--until", "2100-01-01")
    assert last(folder)[2] == {"until": None, "reason": "meeting"}
    run("auth", "resume", "work")
    action, label, before, after = last(folder)
    assert (action, label, after) == ("resume", "work", None)
    assert before["until"].startswith(("2099-12-31T", "2100-01-01T"))
    run("auth", "order", "home", "work")
    assert last(folder) == ("order", None, [], ["home", "work"])
    run("auth", "order", "--clear")
    assert last(folder) == ("order", None, ["home", "work"], [])
    run("auth", "set-primary", "home")
    assert last(folder) == ("set-primary", "home", None, "home")
    run("auth", "clear-primary")
    assert last(folder) == ("clear-primary", "home", "home", None)
    run("auth", "disable", "home", "--reason", "holiday")
    assert last(folder) == ("disable", "home", {"disabled": None}, {"disabled": "holiday"})
    run("auth", "enable", "home")
    assert last(folder) == ("enable", "home", {"disabled": "holiday"}, {"disabled": None})
    run("auth", "cleanup", "--force")
    assert last(folder)[:2] == ("cleanup", "ended")
    run("auth", "login", "anthropic", "-m", "api-key", "--no-verify", "--add", "--label", "key",
        answers="sk-ant-api-nope\n")  # fmt: skip
    action, label, before, after = last(folder)
    assert (action, label, before, after["type"]) == ("login", "key", None, "api_key")
    run("auth", "logout", "work", "--force")
    action, label, before, after = last(folder)
    assert (action, label, before["accountUuid"], after) == ("logout", "work", "u1", None)


def test_what_changes_nothing_leaves_no_row(folder: Home) -> None:
    for arguments in (
        ("auth", "pause", "nobody"), ("auth", "resume", "work"), ("auth", "order"),
        ("auth", "order", "nobody"), ("auth", "clear-primary"), ("auth", "set-primary", "nobody"),
        ("auth", "enable", "nobody"), ("auth", "disable", "nobody"), ("auth", "logout", "nobody"),
        ("auth", "refresh", "anthropic"), ("proxy", "reset"), ("proxy", "reset", "nobody"),
        ("clients", "set", "nobody", "--rate", "1"), ("clients", "renew", "nobody"),
        ("clients", "revoke", "nobody"), ("auth", "list"), ("config", "check"),
    ):  # fmt: skip
        CliRunner().invoke(main, arguments)
    assert rows(folder) == []
    assert not folder.logs.exists()


def test_clients(folder: Home) -> None:
    run("clients", "add", "laptop", "--rate", "5")
    limits = {"models": [], "rate": 5, "dailyCapUsd": None, "hold": None}
    assert last(folder) == ("clients add", "laptop", None, limits)
    run("clients", "set", "laptop", "--rate", "9")
    assert last(folder) == ("clients set", "laptop", limits, limits | {"rate": 9})
    run("clients", "renew", "laptop")
    assert last(folder) == ("clients renew", "laptop", None, None)
    run("clients", "revoke", "laptop")
    assert last(folder) == ("clients revoke", "laptop", limits | {"rate": 9}, None)


def test_cooldowns(folder: Home) -> None:
    cooldown = Cooldown(1, NOW, NOW + 60, "rate limit (429)")
    write_cooldowns(folder.cooldowns, {"anthropic:work": PersistedState("x", {"*": cooldown})})
    run("proxy", "reset", "work")
    before = {"*": "until 2025-10-09T08:54:20.000Z: rate limit (429)"}
    assert last(folder) == ("reset", "work", before, None)


def test_imports(folder: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test-4")
    run("auth", "import", "--from", "env")
    action, label, before, after = last(folder)
    assert (action, before, after["type"]) == ("import", None, "api_key")
    assert label in {row["label"] for row in _accounts()}


def _accounts() -> list[Row]:
    listed = CliRunner().invoke(main, ["auth", "list", "--format", "json"])
    accounts: list[Row] = json.loads(listed.stdout)["accounts"]
    return accounts


def test_keys_of_top(folder: Home) -> None:
    work = Account("anthropic:work", "work")
    done(Pause(work, None), folder, None, NOW, [])
    done(Resume(work), folder, None, NOW, [])
    assert [(row["actor"], row["action"]) for row in rows(folder)] == [
        ("top", "pause"), ("top", "resume"),
    ]  # fmt: skip


def test_an_audit_log_that_cant_be_written_stops_nothing(folder: Home) -> None:
    folder.logs.write_text("no directory")
    run("auth", "pause", "work")
    assert _accounts()[0]["state"] == "paused"
