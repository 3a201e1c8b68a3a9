"""What the page Accounts shows, part by part."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from neurolink_mitm.adapters.audit import Audit
from neurolink_mitm.adapters.token_store import TokenStore
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.logs.audit import Actor
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.dashboard.page import View
from neurolink_mitm.dashboard.pages import PAGES
from neurolink_mitm.dashboard.render import environment
from neurolink_mitm.dashboard.web.parts import Parts
from tests.dashboard.harness import Served, served
from tests.flows.harness import Proxy, account

MAIL = "someone@example.com"
ODD = "<img src=x onerror=alert(1)> \"'"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A stored login with a mail, an account with an odd label, one of the configuration."""
    url = "http://127.0.0.1:9"
    login = account("work", url, token="sk-ant-oat-test-w", source="store", refreshable=True,
                    email=MAIL, expires_at=4e9)  # fmt: skip
    odd = account(ODD, url, token="sk-ant-test-o", source="store")
    with served(
        Proxy([login, odd, account("ci", url)]), tmp_path_factory.mktemp("page")
    ) as dashboard:
        store = TokenStore(dashboard.home)
        store.save(
            StoredAccount(
                "work", Secret("sk-ant-oat-test-w"), Secret("sk-ant-ort-test-w"), email=MAIL
            )
        )
        store.save(StoredAccount(ODD, Secret("sk-ant-test-o")))
        yield dashboard


@pytest.fixture(scope="module")
def client(running: Served) -> Iterator[httpx.Client]:
    with running.signed_in() as client:
        yield client


def part(client: httpx.Client, name: str, **query: str) -> str:
    response = client.get(f"/parts/{name}", params=query)
    assert response.status_code == 200, response.text
    assert "<img" not in response.text, "a label is text"
    assert "sk-ant-" not in response.text
    return response.text


def test_a_mail_is_shown_to_whoever_asks_for_it_only(client: httpx.Client) -> None:
    for name in ("accounts", "add-account", "changes"):
        assert MAIL not in part(client, name)
    assert MAIL not in part(client, "account", account="anthropic:work")
    assert MAIL in part(client, "account", account="anthropic:work", mail="show")


def test_what_can_be_done_depends_on_where_it_comes_from(client: httpx.Client) -> None:
    def actions(label: str) -> set[str]:
        shown = part(client, "account", account=label)
        return set(re.findall(r'hx-post="/actions/([a-z-]+)"', shown))

    every = {"pause", "primary", "disable", "remove"}
    assert actions("work") == every | {"refresh", "login-begin"}
    assert actions(ODD) == every | {"add-key"}
    assert actions("ci") == {"pause", "primary"}
    assert "its key stands in the configuration file" in part(client, "account", account="ci")


@pytest.mark.parametrize(
    "name", ["", "nobody", ODD + "x", "\x00"], ids=["none", "unknown", "odd", "nul"]
)
def test_an_account_that_is_not_there(client: httpx.Client, name: str) -> None:
    assert "hx-post" not in part(client, "account", account=name)


def test_the_latest_changes_are_shown_as_text(client: httpx.Client, running: Served) -> None:
    audit = Audit(running.home.logs, Actor.TOP)
    audit.record("order", None, ["a", ODD], {ODD: [1, None, True]})
    audit.record("pause", ODD, None, {"until": "2100-01-01T00:00:00Z", "reason": ""})
    with next(running.home.logs.glob("audit-*")).open("a") as file:
        file.write('{"timestamp": "2025-10-09T08:53:20.000Z", "action": 5}\n{"torn')
    shown = part(client, "changes")
    assert shown.count("<tr>") == 3
    assert '<time datetime="2100-01-01T00:00:00.000Z"' in shown


def test_a_store_that_can_not_be_read_is_reported_in_place(
    client: httpx.Client, running: Served
) -> None:
    before = running.home.tokens.read_bytes()
    running.home.tokens.write_text("{")
    try:
        assert "is broken" in part(client, "add-account")
        assert "is broken" in part(client, "account", account="work")
        assert "work" in part(client, "accounts")
    finally:
        running.home.tokens.write_bytes(before)


def test_a_read_only_dashboard_offers_nothing(tmp_path: Path) -> None:
    accounts = [account("a", "http://127.0.0.1:9", source="store")]
    with (
        served(Proxy(accounts), tmp_path, read_only=True) as dashboard,
        dashboard.signed_in() as client,
    ):
        for name in ("accounts", "add-account", "account", "changes"):
            assert "/actions/" not in part(client, name, account="a")


def test_two_hundred_accounts(running: Served, tmp_path: Path) -> None:
    """Each look at the proxy renders them."""
    site, pool = running.site, running.site.runtime.pool
    before = pool.accounts
    many = [account(f"a{number}", "http://127.0.0.1:9", source="store") for number in range(200)]
    site.on_loop(lambda: pool.update(many))
    parts = Parts(PAGES, site, environment())
    shown = parts.find("accounts")
    assert shown
    try:
        parts.fragment(shown, View(site))
        began = time.perf_counter()
        html = parts.fragment(shown, View(site)).html
        took = time.perf_counter() - began
    finally:
        site.on_loop(lambda: pool.update(before))
    assert html.count("<tr id=") == 200
    assert took < 1


def test_the_accounts_of_the_sandbox_come_from_there(running: Served, client: httpx.Client) -> None:
    running.site.serves_home = False
    try:
        text = client.get("/parts/accounts").text
    finally:
        running.site.serves_home = True
    assert text.count("from the sandbox") == 3
    assert "configuration" not in text
