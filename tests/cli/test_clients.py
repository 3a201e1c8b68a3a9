"""`neurolink clients`, and what its keys open."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from neurolink_mitm.adapters.client_file import read_clients
from neurolink_mitm.cli import main
from tests.cli.processes import MESSAGE, Shell
from tests.waiting import wait_until


def clients(*arguments: str) -> Result:
    result = CliRunner().invoke(main, ["clients", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(autouse=True)
def file(home: Path) -> Path:
    return home / ".neurolink" / "clients.json"


def test_a_key_is_all_that_is_on_stdout() -> None:
    added = clients("add", "laptop")
    assert added.exit_code == 0
    assert added.stdout.startswith("sk-nl-")
    assert added.stdout.count("\n") == 1
    assert "not shown again" in added.stderr


def test_the_first_one_says_what_changes() -> None:
    assert "From now on" in clients("add", "a").stderr
    assert "From now on" not in clients("add", "b").stderr


def test_for_programs() -> None:
    made = json.loads(clients("add", "laptop", "--format", "json").stdout)
    assert made["name"] == "laptop"
    assert made["key"].startswith("sk-nl-")


def test_the_list_shows_no_key() -> None:
    key = clients("add", "laptop").stdout.strip()
    listed = clients("list")
    assert "laptop" in listed.stdout
    assert key not in listed.output
    [row] = json.loads(clients("list", "--format", "json").stdout)["clients"]
    assert row.keys() == {"name", "createdAt", "lastUsedAt", "requests", "todayUsd", "totalUsd",
                          "models", "rate", "dailyCapUsd", "hold"}  # fmt: skip


def test_the_list_shows_what_was_used_when_the_logs_are_gone(file: Path) -> None:
    clients("add", "laptop", "--daily-cap-usd", "20")
    now = time.time()
    use = {"todayUsd": 1.5, "totalUsd": 40.25, "requests": 12, "lastUsedAt": now}
    day = {"usd": 3.0, "dayEndsAt": now + 900, "clients": {"laptop": use, "gone": use}}
    spend = file.with_name("spend.json")
    spend.write_text(json.dumps(day))
    [row] = json.loads(clients("list", "--format", "json").stdout)["clients"]
    assert (row["requests"], row["todayUsd"], row["totalUsd"]) == (12, 1.5, 40.25)
    assert "$1.50 of $20" in clients("list").stdout
    spend.write_text(json.dumps(day | {"dayEndsAt": now - 1}))
    [row] = json.loads(clients("list", "--format", "json").stdout)["clients"]
    assert (row["todayUsd"], row["totalUsd"]) == (0.0, 40.25)
    spend.write_text("{")
    assert clients("list").exit_code == 0
    assert spend.read_text() == "{"


def test_limits_are_stored_changed_and_taken_away(file: Path) -> None:
    clients("add", "bob", "--model", "claude-haiku-*", "--model", "gpt-5", "--rate", "30",
            "--daily-cap-usd", "2.5", "--hold", "900")  # fmt: skip
    [stored] = json.loads(file.read_text())["clients"]
    limits = {"models": ["claude-haiku-*", "gpt-5"], "rate": 30, "dailyCapUsd": 2.5, "hold": 900}
    assert stored.items() >= limits.items()
    ended = clients("set", "bob", "--rate", "none", "--model", "none", "--format", "json")
    assert json.loads(ended.stdout) == {"name": "bob", **limits, "models": [], "rate": None}
    clients("set", "bob", "--hold", "none", "--daily-cap-usd", "none")
    assert json.loads(file.read_text())["clients"][0].keys() == {"name", "sha256", "createdAt"}


@pytest.mark.parametrize(
    "wrong",
    [["--rate", "0"], ["--rate", "1.5"], ["--rate", "nan"], ["--daily-cap-usd", "nan"],
     ["--daily-cap-usd", "inf"], ["--daily-cap-usd=-1"], ["--daily-cap-usd", "1e308"],
     ["--hold=-1"], ["--model", ""], ["--model", "a\x1b"], ["--model", "none", "--model", "a"], []],
    ids=str,
)  # fmt: skip
def test_what_is_no_limit_is_refused(file: Path, wrong: list[str]) -> None:
    clients("add", "bob")
    before = file.read_bytes()
    assert clients("set", "bob", *wrong).exit_code == 2
    assert file.read_bytes() == before
    assert clients("set", "nobody", "--rate", "3").exit_code == 1


def test_an_empty_list_says_how_to_fill_it() -> None:
    assert "neurolink clients add NAME" in clients("list").stdout


def test_revoked(file: Path) -> None:
    clients("add", "laptop")
    assert clients("revoke", "laptop").stdout == "revoked: laptop\n"
    again = clients("revoke", "laptop")
    assert (again.exit_code, again.stdout) == (1, "")
    assert "no client 'laptop'" in again.stderr


def test_a_renewed_key_has_the_limits_of_the_old_one(file: Path) -> None:
    old = clients("add", "laptop", "--rate", "30").stdout.strip()
    new = clients("renew", "laptop").stdout.strip()
    [client] = read_clients(file)
    assert (client.matches(new), client.matches(old), client.rate) == (True, False, 30)
    assert clients("renew", "nobody").exit_code == 1


def test_a_name_has_to_be_one() -> None:
    refused = clients("add", "")
    assert refused.exit_code == 2
    assert "'NAME': must be 1 to 64 printable characters" in refused.stderr


def test_a_second_one_of_a_name_is_refused() -> None:
    clients("add", "laptop")
    second = clients("add", "laptop")
    assert (second.exit_code, second.stdout) == (1, "")


@pytest.mark.parametrize("command", [["list"], ["add", "b"], ["revoke", "a"]], ids=lambda c: c[0])
def test_a_broken_file_is_one_line(file: Path, command: list[str]) -> None:
    file.parent.mkdir()
    file.write_text("{")
    ended = clients(*command)
    assert ended.exit_code == 1
    assert f"{file}: is broken" in ended.stderr


def test_a_key_opens_until_it_is_revoked(shell: Shell) -> None:
    """And then nobody gets in: from elsewhere the proxy is never open."""
    key = shell.run("clients", "add", "laptop").said.strip()
    proxy, url = shell.serve("--sandbox", "--host", "0.0.0.0")  # noqa: S104 - with a key

    def asked(**headers: str) -> int:
        return httpx.post(f"{url}/v1/messages", json=MESSAGE, headers=headers).status_code

    assert asked(**{"x-api-key": key}) == 200
    assert asked(authorization=f"Bearer {key}") == 200
    assert (asked(), asked(**{"x-api-key": "sk-nl-another"})) == (401, 401)

    assert shell.run("clients", "revoke", "laptop").process.returncode == 0
    wait_until(lambda: asked(**{"x-api-key": key}) == 401, "the key opens nothing")
    proxy.expect("nobody is let in")
    other = shell.run("clients", "add", "desk").said.strip()
    wait_until(lambda: asked(**{"x-api-key": other}) == 200, "the new key opens")
    shell.run("clients", "set", "desk", "--daily-cap-usd", "0")
    wait_until(lambda: asked(**{"x-api-key": other}) == 429, "its cap is in force")
    assert key not in proxy.complained
    assert other not in proxy.complained


def test_a_broken_file_stops_a_start(shell: Shell) -> None:
    path = shell.write("clients.json", "{")
    ended = shell.run("proxy", "start", "--sandbox", "--port", "0")
    assert ended.process.returncode == 2
    assert f"{path}: is broken" in ended.complained
