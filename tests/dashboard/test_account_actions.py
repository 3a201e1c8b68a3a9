"""What the page Accounts does, over HTTP: each action with its Undo and its row in the audit log."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.pause_file import read_pauses
from neurolink_mitm.adapters.token_store import TokenStore
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.pauses import Pause
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.records.audit import changes
from neurolink_mitm.sandbox.server import SandboxServer
from tests.dashboard.acts import Answer, act, take_back
from tests.dashboard.harness import Served, served
from tests.fakes import make_failure
from tests.flows.harness import Proxy, account
from tests.schemas import faults

MAIL = "someone@example.com"
UNICODE = 'wörk <b>"it\'s"</b> 🦀'


@pytest.fixture(scope="module")
def upstream_of_all() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture(scope="module")
def running(
    upstream_of_all: SandboxServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A proxy for all tests: the accounts a, b and one with an odd label are stored, c is configured."""
    url = upstream_of_all.url
    own: dict[str, Any] = {"source": "store"}
    accounts = [account("a", url, **own), account("b", url, **own),
                account(UNICODE, url, token="sk-ant-test-u", **own), account("c", url)]  # fmt: skip
    with served(Proxy(accounts), tmp_path_factory.mktemp("dashboard")) as dashboard:
        yield dashboard


@pytest.fixture
def home(running: Served) -> Home:
    """Its home, as new."""
    home = running.home
    for path in (home.pauses, home.config, home.tokens):
        path.unlink(missing_ok=True)
    for path in home.logs.glob("audit-*"):
        path.unlink()
    home.config.write_text(
        "version: 1 # mine\naccounts: {anthropic: [{name: c, apiKey: sk-ant-test-c}]}\n"
    )
    store = TokenStore(home)
    for label in ("a", "b"):
        store.save(StoredAccount(label, Secret(f"sk-ant-test-{label}"), email=MAIL))
    store.save(StoredAccount(UNICODE, Secret("sk-ant-test-u")))
    return home


@pytest.fixture
def client(running: Served, home: Home) -> Iterator[httpx.Client]:
    with running.signed_in() as client:
        yield client


def rows(home: Home) -> list[tuple[str, str | None, Any, Any]]:
    read = changes(home.logs, 99)
    assert [fault for row in read for fault in faults("audit", row)] == []
    assert all(row["actor"] == "dashboard" for row in read)
    return [(row["action"], row["target"], row["before"], row["after"]) for row in read]


def routing(home: Home) -> dict[str, Any]:
    text = home.config.read_text()
    assert "# mine" in text
    return yaml.safe_load(text).get("routing") or {}


# --- pauses


@pytest.mark.parametrize("label", ["a", "anthropic:a", UNICODE], ids=["label", "key", "odd"])
def test_a_pause_and_its_undo(client: httpx.Client, home: Home, label: str) -> None:
    key = "anthropic:" + label.removeprefix("anthropic:")
    paused = act(client, "pause", account=label, reason="meeting <b>")
    assert paused.done
    assert read_pauses(home.pauses) == {key: Pause(None, "meeting <b>")}
    assert f"paused {key.removeprefix('anthropic:')!r} until it is resumed" in paused.text
    back = take_back(client, paused)
    assert back.done
    assert read_pauses(home.pauses) == {}
    assert take_back(client, back).done, "an undo is undone"
    assert read_pauses(home.pauses) == {key: Pause(None, "meeting <b>")}
    assert [row[0] for row in rows(home)] == ["pause", "resume", "pause"]


def test_a_pause_for_a_while_replaces_another_and_gives_it_back(
    client: httpx.Client, home: Home
) -> None:
    act(client, "pause", account="a", until="2100-01-01T08:00:00.000Z", reason="first")
    first = read_pauses(home.pauses)
    second = act(client, "pause", account="a", **{"for": "30m"})
    assert second.text.startswith("paused 'a' until 20")
    assert take_back(client, second).done
    assert read_pauses(home.pauses) == first
    resumed = act(client, "resume", account="a")
    assert take_back(client, resumed).done
    assert read_pauses(home.pauses) == first


def test_an_undo_takes_nothing_back_that_somebody_has_changed_meanwhile(
    client: httpx.Client, running: Served, home: Home
) -> None:
    paused = act(client, "pause", account="a")
    with running.signed_in() as another:
        assert act(another, "pause", account="a", reason="mine").done
    refused = take_back(client, paused)
    assert (refused.status, "changed meanwhile" in refused.text) == (409, True)
    assert read_pauses(home.pauses)["anthropic:a"].reason == "mine"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"account": "nobody"}, "no account 'nobody'"),
        ({"account": ""}, "no account ''"),
        ({}, "no account ''"),
        ({"account": "a", "for": "nan"}, "no duration"),
        ({"account": "a", "for": "-1h"}, "no duration"),
        ({"account": "a", "for": "999999999d"}, "too long"),
        ({"account": "a", "until": "2020-01-01T00:00:00Z"}, "has passed"),
        ({"account": "a", "until": "2100-01-01T00:00:00"}, "does not name its zone"),
        ({"account": "a", "until": "soonTZ"}, "is no time"),
        ({"account": "a", "until": "9999-99-99T00:00:00Z"}, "is no time"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_pause_that_can_not_be(
    client: httpx.Client, home: Home, fields: dict[str, str], text: str
) -> None:
    refused = act(client, "pause", **fields)
    assert (refused.status, text in refused.text) == (409, True), refused.text
    assert not home.pauses.exists()
    assert rows(home) == []


def test_what_is_not_paused_is_not_resumed(client: httpx.Client, home: Home) -> None:
    assert act(client, "resume", account="a").text == "'a' is not paused"
    assert rows(home) == []


def test_a_broken_file_of_pauses_is_left_alone(client: httpx.Client, home: Home) -> None:
    home.pauses.write_text("{")
    refused = act(client, "pause", account="a")
    assert (refused.status, "is broken" in refused.text) == (409, True)
    assert home.pauses.read_text() == "{"


# --- the order of use


def test_an_account_moves_and_back(client: httpx.Client, home: Home) -> None:
    moved = act(client, "move", account="b", direction="up")
    assert moved.done, moved.text
    assert routing(home)["account-order"][:2] == ["b", "a"]
    # the pool does not follow here: the file decides
    again = act(client, "move", account="b", direction="up")
    assert again.text == "'b' is the first already"
    assert take_back(client, moved).done
    assert "account-order" not in routing(home)
    assert [row[0] for row in rows(home)] == ["order", "order"]


def test_two_move_accounts_at_once(client: httpx.Client, running: Served, home: Home) -> None:
    first = act(client, "move", account="b", direction="up")
    with running.signed_in() as another:
        second = act(another, "move", account="a", direction="down")
    assert second.done
    assert "changed meanwhile" in take_back(client, first).text
    assert take_back(client, second).done
    assert routing(home)["account-order"][:2] == ["b", "a"]


def test_the_primary_account_and_its_undo(client: httpx.Client, home: Home) -> None:
    first = act(client, "primary", account="b")
    assert routing(home)["primary-account"] == "b"
    assert act(client, "move", account="a", direction="up").text == (
        "'b' stays before 'a': it is the primary account"
    )
    second = act(client, "primary", account="anthropic:c")
    assert routing(home)["primary-account"] == "c"
    assert "changed meanwhile" in take_back(client, first).text
    assert take_back(client, second).done
    assert routing(home)["primary-account"] == "b"
    assert not act(client, "primary", label="x").done, "a form without an account clears nothing"
    cleared = act(client, "primary", account="")
    assert "primary-account" not in routing(home)
    assert take_back(client, cleared).done
    assert [row[0] for row in rows(home)] == [
        "set-primary", "set-primary", "set-primary", "clear-primary", "set-primary",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        b"#" * 70_000,
        b"routing: [",
        b"\xff\xfe",
        b"routing: &x {strategy: fill-first}\nother: *x\n---\n",
    ],
)
def test_a_configuration_that_can_not_be_edited_is_left_alone(
    client: httpx.Client, home: Home, content: bytes
) -> None:
    home.config.write_bytes(content)
    for action, fields in (("move", {"direction": "down"}), ("primary", {})):
        assert act(client, action, account="a", **fields).status == 409
    assert home.config.read_bytes() == content
    assert rows(home) == []


@pytest.mark.parametrize("labels", ["", "{}", "[1]", '["a","a"]', '["a\\nb"]', "[" * 9999], ids=str)
def test_an_order_that_is_none(client: httpx.Client, home: Home, labels: str) -> None:
    assert act(client, "order", labels=labels).status == 409
    assert rows(home) == []


def test_nothing_of_the_sandbox_is_kept_but_pauses(
    client: httpx.Client, running: Served, home: Home
) -> None:
    running.site.serves_home = False
    try:
        answers = {answer.status for answer in every(client, "pause", "resume")}
    finally:
        running.site.serves_home = True
    assert answers == {409}
    assert rows(home) == []


# --- cooldowns


def cool(running: Served, key: str) -> None:
    pool, now = running.site.runtime.pool, running.site.now()
    running.site.on_loop(
        lambda: pool.failed(key, Requirements(), make_failure(), sent_at=now, now=now)
    )


def cooling(running: Served, key: str) -> bool:
    pool, now = running.site.runtime.pool, running.site.now()
    return any(each.cooling(now) for each in pool.account_state(key).cooldowns.values())


def test_a_cooldown_is_forgotten_and_put_back(
    client: httpx.Client, running: Served, home: Home
) -> None:
    cool(running, "anthropic:a")
    forgot = act(client, "reset", account="anthropic:a")
    assert forgot.done
    assert not cooling(running, "anthropic:a")
    assert take_back(client, forgot).done
    assert cooling(running, "anthropic:a")
    assert take_back(client, forgot).text == "these cooldowns are gone"
    assert act(client, "reset", account="a").done
    assert [row[:2] for row in rows(home)] == [("reset", "a"), ("cool again", "a"), ("reset", "a")]
    assert "until" in rows(home)[0][2]["*"]


def test_where_nothing_cools_nothing_is_forgotten(client: httpx.Client, home: Home) -> None:
    assert act(client, "reset", account="a").text == "'a' has no cooldown"
    assert "no account 'nobody'" in act(client, "reset", account="nobody").text
    assert rows(home) == []


# --- what is stored


def test_an_account_is_disabled_and_enabled(client: httpx.Client, home: Home) -> None:
    disabled = act(client, "disable", account="b", reason="holiday")
    assert disabled.done
    assert stored(home)["b"].disabled == "holiday"
    enabled = take_back(client, disabled)
    assert stored(home)["b"].disabled is None
    assert take_back(client, enabled).done
    assert stored(home)["b"].disabled == "holiday"
    act(client, "disable", account="b", reason="lost")
    for outdated in (disabled, enabled):
        assert "changed meanwhile" in take_back(client, outdated).text
    assert stored(home)["b"].disabled == "lost"
    assert [row[0] for row in rows(home)] == ["disable", "enable", "disable", "disable"]


def test_a_removed_account_is_gone_with_its_pause(client: httpx.Client, home: Home) -> None:
    act(client, "pause", account=UNICODE)
    removed = act(client, "remove", account=UNICODE)
    assert removed.done
    assert removed.undo is None, "a login that is forgotten can't be given back"
    assert UNICODE not in stored(home)
    assert read_pauses(home.pauses) == {}
    assert "is stored" in act(client, "remove", account=UNICODE).text
    assert MAIL not in json.dumps(rows(home))


def stored(home: Home) -> dict[str, StoredAccount]:
    return {each.label: each for each in TokenStore(home).read().stored}


@pytest.mark.parametrize("action", ["enable", "disable", "refresh"])
def test_a_configured_account_can_not_be_changed_here(
    client: httpx.Client, home: Home, action: str
) -> None:
    refused = act(client, action, account="c")
    assert (refused.status, "stands in the configuration file" in refused.text) == (409, True)


def test_a_broken_store_is_left_alone(client: httpx.Client, home: Home) -> None:
    home.tokens.write_text("{")
    for action in ("disable", "enable", "remove"):
        assert act(client, action, account="a").status == 409, action
    kept = [
        path
        for path in home.root.iterdir()
        if path.name.startswith("tokens.json") and path.stat().st_size
    ]
    assert [path.read_text() for path in kept] == ["{"]


# --- all of them


def every(client: httpx.Client, *without: str) -> Iterator[Answer]:
    for action in ("pause", "resume", "move", "order", "primary", "reset", "cool-again", "enable",
                   "disable", "remove", "refresh", "login-begin", "login-finish", "login-cancel",
                   "add-key"):  # fmt: skip
        if action not in without:
            yield act(client, action, account="a", labels="[]", direction="down")


def test_a_read_only_dashboard_does_nothing(upstream_of_all: SandboxServer, tmp_path: Path) -> None:
    with served(Proxy([account("a", upstream_of_all.url)]), tmp_path, read_only=True) as dashboard:
        with dashboard.signed_in() as client:
            assert {answer.status for answer in every(client)} == {403}
        assert sorted(os.listdir(dashboard.home.root)) == []


def test_nobody_who_is_not_signed_in_does_anything(running: Served, home: Home) -> None:
    before = {path.name: path.read_bytes() for path in home.root.iterdir() if path.is_file()}
    with running.client() as stranger:
        for action in ("pause", "remove", "login-begin"):
            assert stranger.post(f"/actions/{action}", data={"account": "a"}).status_code == 401
    after = {path.name: path.read_bytes() for path in home.root.iterdir() if path.is_file()}
    assert after == before
