from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.logins import entry, kept, neurolink, put, stored


@pytest.fixture
def two(home: Path) -> Path:
    return stored(
        home,
        {
            "work": entry("sk-ant-oat-test-1", refresh="sk-ant-ort-test-1", email="w@example.com"),
            "key": entry("sk-ant-test-2"),
        },
    )


def test_logout_forgets_one_account(home: Path, two: Path) -> None:
    result = neurolink("logout", "work", answers="y\n")
    assert (result.exit_code, [*kept(home)]) == (0, ["key"])
    assert "Forget the account 'work' (w@example.com)?" in result.stderr
    assert "https://claude.ai/settings" in result.stderr


@pytest.mark.parametrize(("answers", "code"), [("n\n", 1), ("\n", 1), ("", 2)])
def test_logout_changes_nothing_without_a_yes(
    home: Path, two: Path, answers: str, code: int
) -> None:
    assert neurolink("logout", "work", answers=answers).exit_code == code
    assert [*kept(home)] == ["work", "key"]


def test_logout_by_force_asks_nothing(home: Path, two: Path) -> None:
    assert neurolink("logout", "key", "--force").exit_code == 0
    assert [*kept(home)] == ["work"]


def test_logout_without_a_label_needs_a_single_account(home: Path, two: Path) -> None:
    result = neurolink("logout", "--force")
    assert (result.exit_code, "with one of: work, key" in result.stderr) == (2, True)
    neurolink("logout", "key", "--force")
    assert neurolink("logout", "--force").exit_code == 0
    assert kept(home) == {}


def test_logout_with_nothing_stored(home: Path) -> None:
    result = neurolink("logout")
    assert (result.exit_code, result.stderr) == (
        1,
        "neurolink: no account is stored; log in with: neurolink auth login anthropic\n",
    )


def test_logout_of_the_legacy_account_removes_its_file(home: Path) -> None:
    path = put(home, "anthropic-credentials.json", {"oauth": {"accessToken": "sk-ant-oat-test-1"}})
    assert neurolink("logout", "--force").exit_code == 0
    assert not path.exists()


def test_an_account_is_disabled_and_enabled(home: Path, two: Path) -> None:
    assert neurolink("disable", "work", "--reason", "holiday").exit_code == 0
    assert kept(home)["work"]["disabled"]["reason"] == "holiday"
    assert neurolink("enable", "work").exit_code == 0
    assert not kept(home)["work"].get("disabled")


@pytest.mark.parametrize("command", ["logout", "enable", "disable"])
def test_an_unknown_label_is_answered_with_the_known(two: Path, command: str) -> None:
    result = neurolink(command, "nope")
    assert result.exit_code == 1
    assert result.stderr == "neurolink: no account 'nope' is stored; there are: work, key\n"


@pytest.mark.parametrize("command", ["logout", "enable"])
def test_a_broken_store_is_named_and_not_lost(home: Path, command: str) -> None:
    put(home, "tokens.json", "{hunter2")
    result = neurolink(command, "work")
    assert (result.exit_code, "tokens.json is broken" in result.stderr) == (1, True)
    assert "hunter2" not in result.output
    files = [path.read_text() for path in (home / ".neurolink").iterdir() if path.is_file()]
    assert "{hunter2" in files


@pytest.mark.parametrize("label", ["work", "anthropic:work", "w@example.com"])
def test_an_account_is_found_by_label_key_and_e_mail(home: Path, two: Path, label: str) -> None:
    assert neurolink("disable", label).stdout.startswith("disabled 'work'")
    assert kept(home)["work"]["disabled"]["reason"] == "by hand"
    assert neurolink("enable", label).stdout == "enabled 'work'\n"
    assert neurolink("logout", label, "--force").exit_code == 0
    assert [*kept(home)] == ["key"]


def test_an_address_of_several_accounts_is_refused(home: Path) -> None:
    one = entry("sk-ant-oat-test-1", email="w@example.com")
    other = entry("sk-ant-oat-test-2", email="w@example.com")
    stored(home, {"work": one, "home": other})
    ended = neurolink("disable", "w@example.com")
    assert ended.exit_code == 2
    assert "work, home" in ended.stderr


def test_a_label_is_taken_before_an_address(home: Path) -> None:
    other = entry("sk-ant-oat-test-2", email="w@example.com")
    stored(home, {"w@example.com": entry("sk-ant-oat-test-1"), "home": other})
    assert neurolink("disable", "w@example.com").stdout.startswith("disabled 'w@example.com'")
