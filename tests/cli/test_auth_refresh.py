from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurolink_mitm.sandbox import Account, Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.cli.logins import PASSED, entry, kept, neurolink, put, settings, stored

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


def test_an_unknown_label_is_answered_with_the_known(sandbox: SandboxServer) -> None:
    result = neurolink("refresh", "anthropic", "nope")
    assert result.exit_code == 1
    assert "no account 'nope'; there are: work, long, key" in result.stderr


def test_without_logins_there_is_nothing_to_do() -> None:
    assert neurolink("refresh", "anthropic").exit_code == 1
