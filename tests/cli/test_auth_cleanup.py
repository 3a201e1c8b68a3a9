from __future__ import annotations

import json
from pathlib import Path

import pytest

from neurolink_mitm.cli.auth import accounts as auth_accounts
from tests.cli.logins import PASSED, entry, kept, neurolink, stored


@pytest.fixture
def mixed(home: Path) -> Path:
    """Three that stay, four that may go."""
    return stored(
        home,
        {
            "good": entry("sk-ant-oat-test-1", refresh="sk-ant-ort-test-1", ends=3600, uuid="1"),
            "refreshable": entry("sk-ant-oat-test-2", refresh="sk-ant-ort-test-2", ends=PASSED),
            "resting": entry("sk-ant-oat-test-3", refresh="sk-ant-ort-test-3", disabled="by hand"),
            "key": entry("sk-ant-test-4"),
            "ended": entry("sk-ant-oat-test-5", ends=PASSED),
            "refused": entry(
                "sk-ant-oat-test-6", refresh="sk-ant-ort-test-6", disabled="needs login: no"
            ),
            "older": entry("sk-ant-oat-test-7", refresh="sk-ant-ort-test-7", ends=60, uuid="1"),
        },
    )


def test_only_what_is_of_no_use_goes(home: Path, mixed: Path) -> None:
    result = neurolink("cleanup", answers="y\n")
    assert (result.exit_code, result.stdout) == (0, "removed: resting, ended, refused, older\n")
    assert "Remove 4 entries?" in result.stderr
    assert "resting: disabled: by hand" in result.stderr
    assert "older: the same account as 'good'" in result.stderr
    assert [*kept(home)] == ["good", "refreshable", "key"]


def test_nothing_goes_without_a_yes(home: Path, mixed: Path) -> None:
    assert neurolink("cleanup", answers="n\n").exit_code == 1
    assert len(kept(home)) == 7


def test_a_login_that_comes_while_it_asks_stays(
    home: Path, mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def login_meanwhile(*_: object, **__: object) -> bool:
        entries = {"ended": entry("sk-ant-oat-test-8", refresh="sk-ant-ort-test-8", ends=3600)}
        stored(home, entries | {"refused": entry("sk-ant-oat-test-6", disabled="needs login: no")})
        return True

    monkeypatch.setattr(auth_accounts, "confirm", login_meanwhile)
    assert neurolink("cleanup").stdout == "removed: refused\n"
    assert [*kept(home)] == ["ended"]


def test_where_nobody_answers_force_is_asked_for(home: Path, mixed: Path) -> None:
    result = neurolink("cleanup")
    assert (result.exit_code, "--force" in result.stderr) == (2, True)
    assert len(kept(home)) == 7


def test_json_says_what_went_and_why(mixed: Path) -> None:
    report = json.loads(neurolink("cleanup", "--force", "--format", "json").stdout)
    labels = [each["label"] for each in report["removed"]]
    assert labels == ["resting", "ended", "refused", "older"]
    assert report["removed"][1]["reason"] == "it has expired and can't be refreshed"


def test_the_entry_that_needs_no_login_stays_of_two(home: Path) -> None:
    stored(
        home,
        {
            "dead": entry("sk-ant-oat-test-1", ends=9000, uuid="1", disabled="needs login: no"),
            "alive": entry("sk-ant-oat-test-2", refresh="r", ends=60, uuid="1"),
        },
    )
    neurolink("cleanup", "--force")
    assert [*kept(home)] == ["alive"]


def test_nothing_to_remove() -> None:
    result = neurolink("cleanup")
    assert (result.exit_code, result.stdout) == (0, "nothing to remove\n")
