"""`neurolink auth logout`, `enable`, `disable`, `cleanup` and `refresh`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurolink_mitm.cli.auth import accounts as auth_accounts
from neurolink_mitm.sandbox import Account, Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.cli.logins import PASSED, entry, kept, neurolink, put, settings, stored


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


ACCESS, REFRESH = "sk-ant-oat-test-gamma", "sk-ant-ort-test-gamma"


@pytest.fixture
def sandbox(home: Path) -> Iterator[SandboxServer]:
    with SandboxServer([Account("gamma", ACCESS, "oauth", REFRESH)]) as server:
        put(home, "proxy-config.yaml", settings(server.url))
        stored(
            home,
            {
                "work": entry(ACCESS, refresh=REFRESH, ends=PASSED),
                "long": entry("sk-ant-oat-test-long"),
                "key": entry("sk-ant-test-k"),
            },
        )
        yield server


def test_logins_are_refreshed_and_stored(home: Path, sandbox: SandboxServer) -> None:
    result = neurolink("refresh", "anthropic")
    assert (result.exit_code, result.stdout) == (0, "work: refreshed, expires in 7 h 59 min\n")
    tokens = kept(home)["work"]["tokens"]
    assert tokens["accessToken"] != ACCESS
    assert tokens["refreshToken"] != REFRESH


def test_one_is_refreshed_even_if_it_would_last(home: Path, sandbox: SandboxServer) -> None:
    report = [neurolink("refresh", "anthropic", "work", "--format", "json") for _ in range(2)]
    assert [result.exit_code for result in report] == [0, 0]
    first, second = (json.loads(result.stdout)["accounts"][0] for result in report)
    assert (first["label"], first["trouble"], first["written"]) == ("work", None, True)
    assert second["expiresAt"] > first["expiresAt"]


def test_a_revoked_login_needs_another(home: Path, sandbox: SandboxServer) -> None:
    sandbox.revoke("gamma")
    result = neurolink("refresh", "anthropic", "work")
    assert result.exit_code == 1
    assert "work: not refreshed: " in result.stdout
    assert "log in again with: neurolink auth login anthropic" in result.stdout
    assert result.stderr == ""
    report = json.loads(neurolink("status", "--format", "json").stdout)
    assert report["states"]["needs login"] == ["work"]


def test_a_failing_endpoint_is_told_of_and_nothing_is_lost(
    home: Path, sandbox: SandboxServer
) -> None:
    sandbox.script_tokens(Reply(503))
    result = neurolink("refresh", "anthropic")
    assert (result.exit_code, "503" in result.stdout) == (1, True)
    assert kept(home)["work"]["tokens"]["refreshToken"] == REFRESH


@pytest.mark.parametrize("label", ["key", "long"])
def test_what_has_nothing_to_refresh_says_so(sandbox: SandboxServer, label: str) -> None:
    result = neurolink("refresh", "anthropic", label)
    assert (result.exit_code, "has nothing to refresh" in result.stderr) == (1, True)


def test_refresh_answers_an_unknown_label_with_the_known(sandbox: SandboxServer) -> None:
    result = neurolink("refresh", "anthropic", "nope")
    assert result.exit_code == 1
    assert "no account 'nope'; there are: work, long, key" in result.stderr


def test_without_logins_there_is_nothing_to_do() -> None:
    assert neurolink("refresh", "anthropic").exit_code == 1
