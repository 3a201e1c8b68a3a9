from __future__ import annotations

import json
import re
import time
from datetime import datetime
from pathlib import Path

import pytest

from neurolink_mitm.core.pool.persisted import fingerprint
from neurolink_mitm.core.redact.secret import Secret
from tests.cli.logins import PASSED, entry, neurolink, put, stored

TOKEN = "sk-ant-oat-test-1"


@pytest.fixture
def mixed(home: Path) -> Path:
    stored(
        home,
        {
            "work": entry(TOKEN, refresh="r", ends=7500, email="w@example.com", uuid="1"),
            "home": entry("sk-ant-oat-test-2", ends=PASSED, email="h@example.com"),
            "old": entry("sk-ant-oat-test-3", refresh="r2", ends=60, uuid="1"),
            "key": entry("sk-ant-test-4", disabled="by hand"),
        },
    )
    window = {"utilization": 0.5, "status": "allowed", "reset": time.time() + 600}
    quota = {"seen_at": time.time(), "five_hour": window}
    put(home, "account-quotas.json", {"version": 1, "accounts": {"anthropic:work": quota}})
    put(home, "proxy-config.yaml", "version: 1\nrouting: {primary-account: work}\n")
    return home


def cool(home: Path, token: str) -> None:
    now = time.time()
    scope = {"level": 1, "began": now, "until": now + 60, "reason": "rate limited"}
    remembered = {"credential": fingerprint(Secret(token)), "scopes": {"*": scope}}
    put(home, "cooldowns.json", {"version": 1, "accounts": {"anthropic:work": remembered}})


def rows(*arguments: str) -> dict[str, dict[str, object]]:
    report = json.loads(neurolink("list", "--format", "json", *arguments).stdout)
    return {row["label"]: row for row in report["accounts"]}


def test_the_table_has_a_line_for_each_account(mixed: Path) -> None:
    text = neurolink("list").stdout
    head, work, home, key, old, titles, window = text.splitlines()
    assert head.split() == ["account", "e-mail", "organisation", "type", "plan", "expires", "state"]
    assert titles.split() == ["account", "window", "used", "resets"]
    assert "w@example.com" in work
    assert " in 2 h 4 min " in work
    assert window.startswith("work     5h      ██▌    50%  ")
    assert window.endswith("(in 10m)")
    assert work.endswith("ready (primary)")
    assert " d " in home
    assert home.endswith("needs login: its token has expired and can't be refreshed")
    assert " API key  pay-per-use " in key
    assert key.endswith("disabled: by hand")
    assert old.startswith("old ")
    assert "neurolink auth cleanup" in old
    assert "\x1b" not in text


def test_the_forecast_is_that_of_the_last_hour(mixed: Path) -> None:
    """By the use that the proxy has written down: a quarter in half an hour, so the other half takes an hour."""
    now, reset = time.time(), time.time() + 4 * 3600
    window = {"utilization": 0.5, "status": "allowed", "reset": reset}
    quota = {"seen_at": now, "windows": {"5h": window}}
    put(mixed, "account-quotas.json", {"version": 1, "accounts": {"anthropic:work": quota}})
    lines = [
        {"at": now - ago, "account": "anthropic:work", "window": "5h", "used": used}
        for ago, used in ((1800, 0.25), (900, 0.375), (0, 0.5))
    ]
    (mixed / ".neurolink" / "windows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    *_, titles, row = neurolink("list").stdout.splitlines()
    assert titles.endswith(" out at")
    assert re.search(r"\(in 4h0m\) .*\(in (?:1h0m|1h1m|59m)\)$", row), row


def test_json_has_states_and_quotas(mixed: Path) -> None:
    found = rows()
    states = {label: row["state"] for label, row in found.items()}
    assert states == {"work": "ready", "home": "needs login", "key": "disabled", "old": "duplicate"}
    quota = found["work"]["quota"]
    assert isinstance(quota, dict)
    assert (quota["fiveHour"]["used"], quota["sevenDay"]) == (0.5, None)
    assert found["work"]["plan"] == "subscription"


def test_cooling_is_told_for_the_credential_that_cools(mixed: Path) -> None:
    cool(mixed, TOKEN)
    assert rows()["work"]["state"] == "cooling"
    cool(mixed, "sk-ant-oat-test-of-before")
    assert rows()["work"]["state"] == "ready"


def test_an_expired_token_that_can_be_refreshed_counts_as_usable(home: Path) -> None:
    stored(home, {"work": entry(TOKEN, refresh="r", ends=PASSED)})
    assert rows()["work"]["state"] == "expired"
    assert neurolink("status").exit_code == 0


def test_accounts_from_elsewhere_are_named_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test-env")
    assert rows()["env"]["source"] == "environment"
    account = "{name: ci, apiKey: sk-ant-test-ci, enabled: false}"
    put(home, "proxy-config.yaml", f"accounts: {{anthropic: [{account}]}}")
    assert {label: row["state"] for label, row in rows().items()} == {"ci": "not enabled"}
    assert "API key (config)" in neurolink("list").stdout


def test_a_broken_configuration_is_reported_and_the_list_still_given(mixed: Path) -> None:
    put(mixed, "proxy-config.yaml", "version: two\n")
    result = neurolink("list")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 7)
    assert "version: must be 1" in result.stderr


def test_a_file_open_to_others_is_warned_of(home: Path) -> None:
    stored(home, {"work": entry(TOKEN)}).chmod(0o644)
    assert "run chmod 600" in neurolink("list").stderr


def test_status_counts_and_names_who_needs_a_login(mixed: Path) -> None:
    result = neurolink("status", "anthropic")
    assert result.exit_code == 0
    assert result.stdout == (
        "4 accounts: 1 ready, 1 needs login (home), 1 disabled (key), 1 duplicate (old)\n"
        "  neurolink auth login anthropic --label home\n"
    )


def test_status_fails_where_no_account_can_serve(home: Path) -> None:
    assert neurolink("status").exit_code == 1
    stored(home, {"home": entry("sk-ant-oat-test-2", ends=PASSED)})
    result = neurolink("status", "--format", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "accounts": 1,
        "usable": 0,
        "states": {"needs login": ["home"]},
    }


def test_no_account_says_what_to_do() -> None:
    assert neurolink("list").stdout == "no accounts; add one with: neurolink auth login anthropic\n"


@pytest.mark.parametrize("command", ["list", "status"])
def test_debug_says_what_was_read_from_where(mixed: Path, command: str) -> None:
    result = neurolink(command, "--debug", "--format", "json")
    assert json.loads(result.stdout)
    assert f"debug: store: tokens.json in {mixed / '.neurolink'}" in result.stderr
    assert "debug: configuration: " in result.stderr
    assert "debug: 1. anthropic:work source=store type=oauth refreshable=True" in result.stderr
    assert TOKEN not in result.stderr


@pytest.mark.parametrize("tried", [False, True], ids=["untried", "tried"])
def test_a_token_that_nobody_has_asked_with_yet_says_so(home: Path, tried: bool) -> None:
    """One of `claude setup-token` is stored as it was pasted."""
    stored(home, {"s": entry("sk-ant-oat-test-5")})
    quotas = {"anthropic:s": {"seen_at": time.time()}} if tried else {}
    put(home, "account-quotas.json", {"version": 1, "accounts": quotas})
    row = rows()["s"]
    assert (row["state"], row["reason"]) == ("ready", None if tried else "not tried yet")


@pytest.mark.parametrize(
    "written",
    [10**15, -5, 1_760_000_000, 1.5e300, "1760000000000", "2027-01-01T00:00:00Z"],
    ids=str,
)
def test_any_end_of_a_token_is_listed(home: Path, written: object) -> None:
    login = entry("sk-ant-oat-test-5", refresh="r")
    login["tokens"]["expiresAt"] = written
    stored(home, {"s": login})
    done = neurolink("list")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1].startswith("s ")


def test_a_cooldown_that_was_written_under_a_wrong_clock(mixed: Path) -> None:
    """18 days ahead: it lasts no longer than one that begins now."""
    then = time.time() + 18 * 86_400
    scope = {"level": 1, "began": then, "until": then + 60, "reason": "rate limited"}
    remembered = {"credential": fingerprint(Secret(TOKEN)), "scopes": {"*": scope}}
    put(mixed, "cooldowns.json", {"version": 1, "accounts": {"anthropic:work": remembered}})
    row = rows()["work"]
    until = datetime.fromisoformat(str(row["reason"]).split()[1].rstrip(":"))
    assert row["state"] == "cooling"
    assert until.timestamp() - time.time() < 61
