"""The page Accounts in a browser, on a proxy as a user starts it: every action, and every Undo, seen on the page."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import httpx
import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.records.audit import changes
from neurolink_mitm.sandbox import Account, Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.cli.logins import code_from, settings
from tests.cli.processes import MESSAGE, Shell
from tests.dashboard.harness import Served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

KEYS = {name: f"sk-ant-test-{name}" for name in ("one", "two", "spare")}


@dataclass
class Real:
    """A proxy in a process of its own, in the place of `Served`."""

    shell: Shell
    proxy_url: str

    @property
    def link(self) -> str:
        return self.shell.run("dashboard", "--print").said.strip()

    @property
    def url(self) -> str:
        dashboard: str = httpx.get(f"{self.proxy_url}/").json()["dashboard"]
        return dashboard

    @property
    def home(self) -> Home:
        return Home(self.shell.home / ".neurolink")


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    logins = [
        Account(name, f"sk-ant-oat-test-{name}", "oauth", f"sk-ant-ort-test-{name}")
        for name in ("plan", "new")
    ]
    with SandboxServer([*logins, *(Account(name, key) for name, key in KEYS.items())]) as server:
        server.script("one", Reply(429, headers={"retry-after": "600"}))
        yield server


@pytest.fixture
def real(sandbox: SandboxServer, tmp_path: Path) -> Iterator[Real]:
    """The stored login `plan`, and the API keys one and two."""
    with Shell(tmp_path / "shell") as shell:
        ends = int((time.time() + 9000) * 1000)
        plan = {
            "accessToken": "sk-ant-oat-test-plan",
            "refreshToken": "sk-ant-ort-test-plan",
            "expiresAt": ends,
        }
        identity = {"uuid": "u", "organizationUuid": "o", "email": "owner@example.com"}
        entries = {"anthropic:plan": {"tokens": plan, "account": identity, "type": "oauth"}}
        entries |= {
            f"anthropic:{name}": {"tokens": {"accessToken": KEYS[name]}, "type": "api_key"}
            for name in ("one", "two")
        }
        shell.write("tokens.json", json.dumps({"version": "2.0", "providers": entries}))
        shell.write("proxy-config.yaml", settings(sandbox.url))
        _, url = shell.serve("--no-claude-settings")
        yield Real(shell, url)


def row(page: Page, label: str) -> Locator:
    return page.locator(f'[id="account-anthropic:{label}"]')


def order(page: Page) -> list[str]:
    return page.locator("#part-accounts tbody .account").all_inner_texts()


def wait_for_order(page: Page, *labels: str) -> None:
    page.wait_for_function(
        "wanted => [...document.querySelectorAll('#part-accounts tbody .account')].map((e) => e.innerText).join()"
        " === wanted", arg=",".join(labels),
    )  # fmt: skip


def manage(page: Page, label: str) -> Locator:
    """Open the dialog of an account."""
    row(page, label).get_by_role("button", name="Manage").click()
    dialog = page.locator("#account-dialog[open]")
    dialog.get_by_role("heading", name=label).wait_for()
    return dialog


def undo(page: Page, text: str) -> None:
    """Take the last action back, of which the page says `text`."""
    toast = page.locator("#toasts .toast", has_text=text).last
    toast.get_by_role("button", name="Undo").click()
    toast.wait_for(state="detached")


@pytest.mark.real("browser")
def test_every_action_and_its_undo(real: Real, browser: Browser, sandbox: SandboxServer) -> None:
    from tests.dashboard.chromium import tab

    with tab(browser, cast("Served", real), "/accounts") as opened:
        page = opened.page
        opened.expected += ["409"]  # a wrong code, and the like
        wait_for_order(page, "plan", "one", "two")

        # pause, for a while and with a reason; the dialog says no mail before it is asked
        dialog = manage(page, "one")
        dialog.get_by_label("Reason").fill("lunch <b>")
        dialog.get_by_role("button", name="30 minutes").click()
        row(page, "one").get_by_text("lunch <b>").wait_for()
        undo(page, "paused 'one' until")
        row(page, "one").get_by_text("ready").wait_for()
        dialog = manage(page, "one")
        dialog.get_by_role("button", name="Until tomorrow 9:00").click()
        row(page, "one").get_by_role("button", name="Resume").click()
        row(page, "one").get_by_text("ready").wait_for()
        undo(page, "resumed 'one'")
        row(page, "one").get_by_text("paused").wait_for()
        manage(page, "one").get_by_role("button", name="Resume", exact=True).click()
        row(page, "one").get_by_text("ready").wait_for()

        # the order of use, by keyboard: the focus stays on the button
        up = page.get_by_role("button", name="Move two up")
        up.focus()
        up.press("Enter")
        wait_for_order(page, "plan", "two", "one")
        undo(page, "moved 'two' up")
        wait_for_order(page, "plan", "one", "two")

        # the primary account
        manage(page, "two").get_by_role("button", name="Make primary").click()
        wait_for_order(page, "two", "plan", "one")
        undo(page, "'two' goes first")
        wait_for_order(page, "plan", "one", "two")

        # disabled and enabled
        manage(page, "two").get_by_role("button", name="Disable").click()
        row(page, "two").get_by_text("disabled").wait_for()
        undo(page, "disabled 'two'")
        row(page, "two").get_by_text("ready").wait_for()

        # a cooldown: `one` answers 429
        manage(page, "plan").get_by_role("button", name="Until I resume it").click()
        row(page, "plan").get_by_text("paused").wait_for()
        httpx.post(f"{real.proxy_url}/v1/messages", json=MESSAGE)
        row(page, "one").get_by_text("cooling").wait_for()
        manage(page, "one").get_by_role("button", name="Forget cooldown").click()
        row(page, "one").get_by_text("ready").wait_for()
        undo(page, "forgot the cooldown")
        row(page, "one").get_by_text("cooling").wait_for()

        # mails are shown to whoever asks; a refresh asks first
        assert "owner@example.com" not in page.content()
        dialog = manage(page, "plan")
        dialog.get_by_role("button", name="Show").click()
        dialog.get_by_text("owner@example.com").wait_for()
        dialog.get_by_role("button", name="Refresh now").click()
        page.locator("#confirm").get_by_role("button", name="Refresh now").click()
        page.get_by_text("refreshed 'plan'").wait_for()

        # a key is added, and taken back
        add = page.locator("#part-add-account")
        add.get_by_label("Key", exact=False).last.fill("sk-ant-test-wrong")
        add.get_by_role("button", name="Add the key").click()
        add.get_by_text("was not accepted").wait_for()
        add.locator("[name=key]").fill(KEYS["spare"])
        add.locator("#key-label").fill("spare")
        add.get_by_role("button", name="Add the key").click()
        row(page, "spare").wait_for()
        assert add.locator("[name=key]").input_value() == ""
        undo(page, "API key stored as 'spare'")
        row(page, "spare").wait_for(state="detached")

        # a login in the page: a wrong code first
        add.locator("#login-label").fill("fresh")
        add.get_by_role("button", name="Sign in", exact=True).click()
        link = add.get_by_role("link", name="Open the sign-in page")
        link.wait_for()
        add.get_by_label("Code").fill("wrong-code")
        card = add.locator("[data-login]")
        card.get_by_role("button", name="Sign in", exact=True).click()
        card.get_by_text("was not accepted").wait_for()
        address = link.get_attribute("href")
        assert address
        add.get_by_label("Code").fill(code_from(f"{address}&login_hint=new"))
        card.get_by_role("button", name="Sign in", exact=True).click()
        row(page, "fresh").wait_for()
        card.wait_for(state="detached")

        # signed in again, and removed, which asks
        manage(page, "fresh").get_by_role("button", name="Sign in again").click()
        link.wait_for()
        page.wait_for_function("() => document.activeElement.innerText === 'Open the sign-in page'")
        add.get_by_role("button", name="Cancel this sign-in").click()
        card.wait_for(state="detached")
        manage(page, "fresh").get_by_role("button", name="Remove").click()
        page.locator("#confirm").get_by_role("button", name="Cancel").click()
        page.locator("#account-dialog").get_by_role("button", name="Remove").click()
        page.locator("#confirm").get_by_role("button", name="Remove").click()
        row(page, "fresh").wait_for(state="detached")

    actions = [change["action"] for change in changes(real.home.logs, 99)]
    assert actions == [
        "pause", "resume", "pause", "resume", "pause", "resume", "order", "order", "set-primary",
        "clear-primary", "disable", "enable", "pause", "reset", "cool again", "refresh", "login",
        "logout", "login", "logout",
    ]  # fmt: skip


@pytest.mark.real("browser")
def test_what_is_typed_stays_while_the_page_is_live(real: Real, browser: Browser) -> None:
    from tests.dashboard.chromium import tab

    with tab(browser, cast("Served", real), "/accounts") as opened:
        page = opened.page
        dialog = manage(page, "two")
        dialog.get_by_label("Reason").fill("half a sen")
        page.locator("#login-label").evaluate("e => { e.value = 'label' }")
        real.shell.run("auth", "pause", "one")
        row(page, "one").get_by_text("paused").wait_for()
        assert dialog.get_by_label("Reason").input_value() == "half a sen"
        assert page.locator("#login-label").input_value() == "label"
        page.keyboard.press("Escape")
        assert page.locator("#account-dialog").evaluate("e => e.open") is False
        assert page.evaluate("document.activeElement.id") == "manage-anthropic:two"
