from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from neurolink_mitm.adapters.audit import Audit
from neurolink_mitm.cli import main
from neurolink_mitm.core.logs.audit import Actor
from neurolink_mitm.records.audit import changes

NOW = 1_760_000_000.0
DAY = 86_400.0


@pytest.fixture
def logs(home: Path) -> Path:
    """A change on each of three days, and a torn line."""
    directory = home / ".neurolink" / "logs"
    for day in range(3):
        Audit(directory, Actor.TOP, lambda day=day: NOW + day * DAY).record("pause", f"a{day}")
    with (directory / "audit-2025-10-10.jsonl").open("ab") as file:
        file.write(b'{"timestamp":"20')
    return directory


def test_the_latest_changes_since_a_time(logs: Path) -> None:
    assert [row["target"] for row in changes(logs, 2)] == ["a1", "a2"]
    assert [row["target"] for row in changes(logs, 9, NOW + 1.5 * DAY)] == ["a2"]
    assert [row["target"] for row in changes(logs, 9, NOW + DAY)] == ["a1", "a2"]
    assert changes(logs, 0) == []


def test_the_command_shows_them(logs: Path) -> None:
    audit = Audit(logs, Actor.DASHBOARD, lambda: NOW + 3 * DAY)
    audit.record("order", None, ["a", "b"], ["b\n\x1b[31m", "a"])
    shown = CliRunner().invoke(main, ["logs", "audit", "-n", "1"])
    assert shown.exit_code == 0
    assert 'dashboard  order  ["a","b"] → ["b\\n' in shown.stdout
    assert "\x1b" not in shown.stdout
    lines = CliRunner().invoke(main, ["logs", "audit", "--format", "json"]).stdout.splitlines()
    assert [json.loads(line)["action"] for line in lines] == ["pause"] * 3 + ["order"]


def test_the_command_where_there_is_nothing(home: Path) -> None:
    ended = CliRunner().invoke(main, ["logs", "audit"])
    assert (ended.exit_code, ended.stdout) == (0, "")
    assert "no such change" in ended.stderr
