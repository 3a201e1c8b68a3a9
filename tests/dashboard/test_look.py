"""How the pages look to those who see, hear and type: on every page, light and dark, narrow and wide.

axe-core is Deque's: https://github.com/dequelabs/axe-core/blob/develop/doc/API.md
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import httpx
import pytest

from neurolink_mitm import dashboard as package
from neurolink_mitm.adapters.journal import FileJournal
from neurolink_mitm.core.cluster.members import Member
from neurolink_mitm.dashboard.pages import PAGES
from neurolink_mitm.ports import Runtime
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.dashboard.harness import Served, served
from tests.fakes import NOW, FakeCluster
from tests.flows.harness import CLAUDE_CODE, LIMIT, Proxy, account, message

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

STATIC = Path(package.__file__).parent / "static"
LARGEST = 120 * 1024
"""Bytes of everything that a browser can be sent, compressed."""
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
NARROW, WIDE = {"width": 360, "height": 740}, {"width": 1440, "height": 900}
SERIOUS = """async (rules) => (await axe.run(document, {resultTypes: ["violations"], ...rules})).violations
    .filter((each) => ["serious", "critical"].includes(each.impact))
    .map((each) => `${each.id}: ${each.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`)"""
COLOURS = {"runOnly": ["color-contrast"]}
LOOKS: tuple[tuple[dict[str, int], Literal["light", "dark"], dict[str, Any]], ...] = (
    (WIDE, "light", {}),
    (WIDE, "dark", COLOURS),
    (NARROW, "dark", COLOURS),
    (NARROW, "light", {}),
)
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
UNREACHABLE = """() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary")]
    .filter((each) => each.checkVisibility() && !each.disabled && each.type !== "hidden" && each.tabIndex < 0)
    .map((each) => each.outerHTML.slice(0, 160))"""
FOCUS = """() => {
    const style = getComputedStyle(document.activeElement);
    return [document.activeElement.tagName, style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2];
}"""


def test_all_that_a_browser_is_sent_is_small() -> None:
    files = [path for path in STATIC.iterdir() if path.suffix in (".js", ".css", ".svg")]
    sizes = {path.name: len(gzip.compress(path.read_bytes())) for path in files}
    assert sum(sizes.values()) <= LARGEST, sizes


@pytest.fixture
def busy(upstream: SandboxServer, tmp_path: Path) -> Iterator[Served]:
    """A dashboard with rows: a failover, an error, requests of two sessions; one account is cooling.

    It is one of several replicas: one has a long name, another version and is silent.
    """
    upstream.script("a", Reply(), Reply(429, headers={"retry-after": "600"}))
    upstream.script("b", Reply(), Reply(400, message="<b>bad</b>" + "x" * 400), Reply())
    running = served(Proxy([account(name, upstream.url) for name in ("a", "b")]), tmp_path)
    journal = FileJournal(running.home.logs)

    def change(runtime: Runtime) -> None:
        runtime.journal, runtime.cluster = journal, FakeCluster()
        runtime.cluster.members |= {
            "id-4": Member(f"pool-{'x' * 60}", "0.9", clock_skew=-99.0, seen_at=NOW)
        }

    running.proxy.change = change
    with running:
        for number in range(5):
            session = {
                "x-claude-code-session-id": f"{number % 2}1111111-aaaa-4bbb-8ccc-0123456789ab"
            }
            httpx.post(
                f"{running.proxy.url}/v1/messages",
                json=message(),
                headers=CLAUDE_CODE | session,
                timeout=LIMIT,
            )
        yield running
    journal.close()


def open_page(page: Page, top: str, name: str) -> None:
    """Open a page and wait for its parts; for the page of one request, the first that can be found."""
    path = "" if name == PAGES[0].name else name
    if name == "request":
        page.goto(f"{top}/requests")
        page.wait_for_selector("body:not(:has(.part[aria-busy]))")
        link = page.locator("main a[href^='/request?']").first
        path = (link.get_attribute("href") or "").lstrip("/") if link.count() else "request"
    page.goto(f"{top}/{path}")
    page.wait_for_selector("body:not(:has(.part[aria-busy]))")


@pytest.mark.real("browser")
def test_every_page_is_for_everybody(busy: Served, browser: Browser) -> None:
    from tests.dashboard.chromium import tab

    wrong: list[str] = []
    with tab(browser, busy, reduced_motion="reduce") as opened:
        page = opened.page
        for each in PAGES:
            page.set_viewport_size(WIDE)  # type: ignore[arg-type]
            page.emulate_media(color_scheme="light")
            open_page(page, busy.url, each.name)
            page.evaluate(AXE.read_text())
            for width, scheme, rules in LOOKS:
                page.set_viewport_size(width)  # type: ignore[arg-type]
                page.emulate_media(color_scheme=scheme)
                at = f"{each.name} {width['width']} {scheme}"
                wrong += [f"{at}: {fault}" for fault in page.evaluate(SERIOUS, rules)]
                if (more := page.evaluate(TOO_WIDE)) > 0:
                    wrong.append(f"{at}: {more} px too wide")
                wrong += [f"{at}: no key reaches {tag}" for tag in page.evaluate(UNREACHABLE)]
    assert wrong == []


@pytest.mark.real("browser")
def test_the_keyboard_gets_everywhere_and_one_sees_where_it_is(
    busy: Served, browser: Browser
) -> None:
    from tests.dashboard.chromium import tab

    with tab(browser, busy) as opened:
        page = opened.page
        page.wait_for_selector("#part-pool button")
        stops: list[Any] = []
        for _ in range(14):
            page.keyboard.press("Tab")
            stops.append(page.evaluate(FOCUS))
        assert all(visible for _, visible in stops), stops
        page.reload()
        page.wait_for_selector("#part-pool button")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.real("browser")
def test_a_question_is_a_dialog_and_a_message_stays(dashboard: Served, browser: Browser) -> None:
    from tests.dashboard.chromium import tab

    ask = """(confirm) => {
        document.getElementById("main").insertAdjacentHTML("beforeend",
            `<form id="try" hx-post="/actions/none" hx-target="#toasts" hx-swap="beforeend" ${confirm}>
            <button class="danger">Remove</button></form>`);
        htmx.process(document.getElementById("try"));
    }"""
    with tab(browser, dashboard) as opened:
        opened.expected.append("404")
        page = opened.page
        page.evaluate(ask, 'hx-confirm="Really remove it?"')
        button = page.locator("#try button")
        button.click()
        assert page.locator("dialog p").inner_text() == "Really remove it?"
        assert page.evaluate("document.activeElement.value") == "no"
        page.keyboard.press("Escape")
        assert page.locator("dialog[open]").count() == 0
        assert page.evaluate("document.activeElement.textContent") == "Remove"
        assert page.locator(".toast").count() == 0

        button.click()
        page.locator("dialog [value=yes]").click()
        page.wait_for_selector(".toast[role=alert]")
        page.locator(".toast .close").focus()
        page.keyboard.press("Escape")
        assert page.locator(".toast").count() == 0


@pytest.mark.real("browser")
def test_a_page_without_its_proxy_says_since_when(
    upstream: SandboxServer, tmp_path: Path, browser: Browser
) -> None:
    from tests.dashboard.chromium import tab

    with ExitStack() as proxy:
        running = proxy.enter_context(served(Proxy([account("a", upstream.url)]), tmp_path))
        with tab(browser, running) as opened:
            opened.expected += [
                "ERR_CONNECTION_REFUSED",
                "WebSocket connection",
                "htmx:error",
                "htmx:ws:error",
            ]
            page = opened.page
            page.wait_for_selector("#connection[data-state=live]")
            page.wait_for_selector("#part-pool [scope=row]")
            proxy.close()
            page.wait_for_selector("#stale time")
            assert page.locator("#part-pool [scope=row]").count() == 1
            page.locator("#part-pool button", has_text="Pause").click()
            page.wait_for_selector(".toast.error")
