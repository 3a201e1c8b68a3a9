from __future__ import annotations

import json
from pathlib import Path

import pytest

from neurolink_mitm.cli import main
from tests.cli.logins import entry, neurolink, put, stored

CONFIG = "# mine\nversion: 1\naccounts:\n  anthropic:\n    - {name: ci, apiKey: '${KEY}'} # x\n"


@pytest.fixture(autouse=True)
def config(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KEY", "sk-ant-test-ci")
    stored(home, {"work": entry("sk-ant-oat-test-1")})
    return put(home, "proxy-config.yaml", CONFIG)


@pytest.mark.parametrize("label", ["work", "ci"])
def test_stored_and_configured_accounts_can_be_primary(config: Path, label: str) -> None:
    assert neurolink("set-primary", label).stdout == f"primary account: {label}\n"
    assert config.read_text() == f"{CONFIG}routing:\n  primary-account: {label}\n"
    assert neurolink("get-primary").stdout == f"{label}\n"
    assert json.loads(neurolink("get-primary", "--format", "json").stdout) == {"primary": label}


def test_it_is_cleared(config: Path) -> None:
    neurolink("set-primary", "work")
    assert neurolink("clear-primary").exit_code == 0
    assert json.loads(neurolink("get-primary", "--format", "json").stdout) == {"primary": None}
    assert "no primary account: set one" in neurolink("get-primary").stdout
    assert neurolink("clear-primary").stdout == "no primary account was set\n"


def test_an_unknown_account_is_refused(config: Path) -> None:
    result = neurolink("set-primary", "nope")
    assert (result.exit_code, config.read_text()) == (1, CONFIG)
    assert "there are: work, ci" in result.stderr


def test_logging_out_of_it_is_pointed_out(config: Path) -> None:
    neurolink("set-primary", "work")
    assert "neurolink auth clear-primary" in neurolink("logout", "--force").stderr


def test_a_broken_configuration_is_left_alone(config: Path) -> None:
    config.write_text("version: two\n")
    result = neurolink("set-primary", "work")
    assert (result.exit_code, config.read_text()) == (2, "version: two\n")
    assert "version: must be 1" in result.stderr


def test_a_file_that_can_not_be_changed_says_what_to_do(config: Path) -> None:
    config.write_text("timeouts: &none {}\nrouting: *none\n")
    result = neurolink("set-primary", "work")
    assert (result.exit_code, "by hand" in result.stderr) == (1, True)


def test_without_a_file_one_is_made(config: Path) -> None:
    config.unlink()
    neurolink("set-primary", "work")
    assert config.read_text() == "version: 1\nrouting:\n  primary-account: work\n"


def test_another_file_can_be_named(tmp_path: Path, config: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"version": 1}')
    neurolink("set-primary", "work", "-c", str(other))
    assert json.loads(other.read_text())["routing"] == {"primary-account": "work"}
    assert config.read_text() == CONFIG


def test_labels_are_completed(config: Path) -> None:
    auth = main.get_command(None, "auth")  # type: ignore[arg-type]
    assert auth is not None
    command = auth.commands["set-primary"]  # type: ignore[attr-defined]
    names = ["-h", "--help"]  # as it is below `neurolink`: click keeps the first it is asked with
    with command.make_context("set-primary", ["work"], help_option_names=names) as context:
        found = command.params[0].shell_complete(context, "w")
    assert [item.value for item in found] == ["work"]


@pytest.mark.parametrize("label", ["anthropic:work", "w@example.com"])
def test_an_account_is_named_by_key_or_e_mail_too(home: Path, config: Path, label: str) -> None:
    stored(home, {"work": entry("sk-ant-oat-test-1", email="w@example.com")})
    assert neurolink("set-primary", label).stdout == "primary account: work\n"
