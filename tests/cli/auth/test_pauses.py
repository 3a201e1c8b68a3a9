from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.logins import entry, neurolink, put, stored


@pytest.fixture(autouse=True)
def accounts(home: Path) -> None:
    stored(
        home, {"work": entry("sk-ant-oat-test-1", ends=9999), "home": entry("sk-ant-oat-test-2")}
    )
    put(
        home, "proxy-config.yaml", "accounts: {anthropic: [{name: key, apiKey: sk-ant-test-key}]}\n"
    )


def rows() -> dict[str, dict[str, Any]]:
    report = json.loads(neurolink("list", "--format", "json").stdout)
    return {row["label"]: row for row in report["accounts"]}


def test_a_paused_account_says_until_when_and_why(home: Path) -> None:
    result = neurolink("pause", "work", "--for", "2h", "--reason", "meeting")
    assert result.exit_code == 0
    assert re.match(r"paused 'work' until .*\d\d:\d\d \S+ \(in (?:2h0m|1h59m)\); ", result.stdout)
    assert rows()["work"]["state"] == "paused"
    assert re.search(
        r"paused: until .*\d\d:\d\d \S+ \(in (?:2h0m|1h59m)\): meeting", neurolink("list").stdout
    )
    written = json.loads((home / ".neurolink" / "pauses.json").read_text())
    assert written["anthropic:work"]["reason"] == "meeting"
    assert neurolink("resume", "work").stdout == "resumed 'work'\n"
    assert rows()["work"]["state"] == "ready"
    assert neurolink("resume", "work").stdout == "'work' was not paused\n"


def test_a_configured_account_can_be_paused_and_the_last_one_is_noted() -> None:
    assert neurolink("pause", "anthropic:key").stderr == ""
    neurolink("pause", "work")
    assert "no other account can serve" in neurolink("pause", "home").stderr
    assert [row["state"] for row in rows().values()] == ["paused"] * 3
    assert neurolink("status").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("nobody",), 1, "no account 'nobody'"),
        (("work", "--for", "soon"), 2, "--for: 'soon' is no duration"),
        (("work", "--until", "2020-01-01"), 2, "--until: '2020-01-01' has passed"),
        (("work", "--for", "1h", "--until", "18:00"), 2, "not both"),
    ],
    ids=["unknown", "duration", "past", "both"],
)
def test_what_can_not_be_is_one_line(
    home: Path, arguments: tuple[str, ...], code: int, text: str
) -> None:
    result = neurolink("pause", *arguments)
    assert result.exit_code == code
    assert text in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (home / ".neurolink" / "pauses.json").exists()


def test_a_broken_file_is_one_line_and_stays(home: Path) -> None:
    path = put(home, "pauses.json", "{")
    for command in (("pause", "work"), ("resume", "work"), ("list",)):
        result = neurolink(*command)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert path.read_text() == "{"


def test_a_logged_out_account_leaves_no_pause() -> None:
    neurolink("pause", "work")
    neurolink("logout", "work", "--force")
    assert neurolink("resume", "work").exit_code == 1


def test_the_order_is_that_of_use(home: Path) -> None:
    assert neurolink("order").stdout == "order of use: work, home, key\n"
    assert neurolink("order", "home", "anthropic:work").stdout == "order of use: home, work, key\n"
    assert list(rows()) == ["home", "work", "key"]
    report = json.loads(neurolink("order", "--format", "json").stdout)
    assert report == {"order": ["home", "work", "key"], "configured": ["home", "work"]}
    neurolink("order", "--clear")
    assert list(rows()) == ["work", "home", "key"]


def test_what_goes_before_the_order_is_said() -> None:
    result = neurolink("order", "key", "home")
    assert result.stdout == "order of use: home, work, key\n"
    assert "'home' stays before 'key': it is a subscription" in result.stderr


@pytest.mark.parametrize(
    ("labels", "code"), [(("work", "work"), 2), (("nobody",), 1), (("work", "--clear"), 2)]
)
def test_an_order_of_unknown_or_doubled_labels_is_refused(
    home: Path, labels: tuple[str, ...], code: int
) -> None:
    before = (home / ".neurolink" / "proxy-config.yaml").read_text()
    assert neurolink("order", *labels).exit_code == code
    assert (home / ".neurolink" / "proxy-config.yaml").read_text() == before
