"""Live updates as a browser shows them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.dashboard.harness import Served, served
from tests.flows.harness import LIMIT, Proxy, account, connect, message, raw_request
from tests.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import APIResponse, Browser, Page, Route

pytestmark = pytest.mark.real("browser")

SOON = 500
"""Milliseconds within which a change is seen."""
GONE = ["net::ERR_", "WebSocket connection", "htmx:ws:error", "status of 401"]
LIVE, POLLING, LOST, OUT = (
    f"#connection[data-state={state}]" for state in ("live", "polling", "lost", "out")
)
WATCH = """(part) => {
    window.seenAt = {};
    const look = () => {
        for (const piece of document.querySelectorAll(".bar .piece"))
            for (const name of [piece.className]) seenAt[name] ??= Date.now();
        for (const row of document.querySelectorAll("[id^=recent-req]")) seenAt["ended"] ??= Date.now();
    };
    new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true});
}"""
"""Notes when each kind of piece of a bar was first there."""


def seen(page: Page, name: str) -> float:
    """When a piece with these classes was first there, in milliseconds of this machine's clock."""
    page.wait_for_function(
        "(name) => Object.keys(seenAt).find((each) => each.includes(name))", arg=name
    )
    at: float = page.evaluate(
        "(name) => seenAt[Object.keys(seenAt).find((each) => each.includes(name))]", name
    )
    return at


def test_a_request_that_fails_over_is_seen_to_move(
    dashboard: Served, browser: Browser, upstream: SandboxServer
) -> None:
    """Its failed attempt is struck through, with the reason; the next one has another colour."""
    from tests.dashboard.chromium import tab

    upstream.script("a", Reply(429, delay=0.4, headers={"retry-after": "60"}))
    upstream.script("b", Reply(delay=0.6, stall_after=4))
    with tab(browser, dashboard) as opened:
        page = opened.page
        page.wait_for_selector(LIVE)
        page.get_by_text("Nothing is running").wait_for()
        page.evaluate(WATCH)
        with connect(dashboard.proxy) as client:
            client.sendall(raw_request(x_claude_code_session_id="5e551011-aaaa"))
            client.recv(1)
            [request] = httpx.get(f"{dashboard.proxy.url}/status", timeout=LIMIT).json()["requests"]
            first, _ = request["attempts"]
            late = [
                seen(page, "piece wait") - _ms(first["since"]),
                seen(page, "piece failed") - _ms(first["endedAt"]),
                seen(page, "piece stream") - _ms(request["firstByteAt"]),
            ]
            row = page.locator(".live-request")
            assert row.locator(".served-by").inner_text().split() == ["a", "→", "b"]
            assert "rate limit (429)" in row.inner_text()
            assert "session 5e551011" in row.inner_text()
            pieces = [piece.get_attribute("class") or "" for piece in row.locator(".piece").all()]
            colours = [each.split()[-1] for each in pieces if "failed" in each or "stream" in each]
            assert len(set(colours)) == 2
            story = row.locator(".bar").get_attribute("aria-label") or ""
            assert "attempt 1 on a failed" in story
            assert "attempt 2 on b, first byte after" in story
            widths = [piece.bounding_box() for piece in row.locator(".piece").all()]
            assert all(box and box["width"] >= 3 for box in widths)
            left = time.time() * 1000
        late.append(seen(page, "ended") - left)
        assert sorted(late)[2] < SOON, late
        assert max(late) < 4 * SOON, late  # a machine that is busy with other things
        page.get_by_text("Nothing is running").wait_for()
        page.locator("#part-recent-requests a").first.click()
        page.wait_for_url("**/request?id=*")


def _ms(moment: str) -> float:
    from neurolink_mitm.core.logs.timestamps import seconds

    return seconds(moment) * 1000


def test_what_somebody_does_survives_an_update(
    dashboard: Served, browser: Browser, upstream: SandboxServer
) -> None:
    """Focus, scroll position and what is open."""
    from tests.dashboard.chromium import tab

    upstream.script("a", Reply(stall_after=2))
    with tab(browser, dashboard, viewport={"width": 900, "height": 420}) as opened:
        page = opened.page
        page.wait_for_selector(LIVE)
        page.locator("#part-pool summary").first.click()
        button = page.locator("#part-pool button").first
        button.focus()
        page.evaluate("scrollTo(0, 150)")
        with connect(dashboard.proxy) as client:
            client.sendall(raw_request())
            page.wait_for_selector(".live-request")
            page.locator("#part-pool [data-label='In flight']", has_text="1").wait_for()
            assert page.evaluate("document.activeElement.matches('#part-pool button')")
            assert page.evaluate("document.querySelector('#part-pool details').open")
            assert page.evaluate("scrollY") == 150


def test_an_answer_that_is_older_than_what_was_pushed_is_not_shown(
    dashboard: Served, browser: Browser
) -> None:
    """That of a page that loads, and that of the refresh after an action."""
    from tests.dashboard.chromium import tab

    late: list[tuple[Route, APIResponse]] = []
    rows = "#part-recent-requests tbody tr"
    with tab(browser, dashboard, "/health") as opened:
        page = opened.page

        def overtake(number: int) -> None:
            """Have something pushed while an answer is on the way."""
            wait_until(lambda: page.evaluate("true") and late, "the answer is on the way")
            httpx.post(f"{dashboard.proxy.url}/v1/messages", json=message(), timeout=LIMIT)
            page.locator(rows).nth(number - 1).wait_for()
            page.evaluate(ARRIVAL)
            route, answer = late.pop()
            route.fulfill(response=answer)
            page.wait_for_function("() => window.arrived")
            assert page.locator(rows).count() == number

        page.route("**/parts/recent-requests", lambda route: late.append((route, route.fetch())))
        page.goto(dashboard.url + "/")
        page.wait_for_selector(LIVE)
        page.locator("#part-recent-requests:not([aria-busy])").wait_for()
        overtake(1)
        page.evaluate("htmx.trigger(document.body, 'refresh-recent-requests')")
        overtake(2)


ARRIVAL = """() => {
    window.arrived = false;
    document.addEventListener("htmx:finally:request", (event) => {
        if (event.detail.ctx.sourceElement.id === "part-recent-requests") window.arrived = true;
    });
}"""
"""Notes that the answer to a part's request was dealt with."""


def test_a_hidden_tab_costs_nothing(dashboard: Served, browser: Browser) -> None:
    from tests.dashboard.chromium import tab

    looked: list[float] = []
    site, in_flight = dashboard.site, dashboard.site.in_flight

    def counted() -> Any:
        looked.append(time.monotonic())
        return in_flight()

    site.in_flight = counted  # type: ignore[method-assign]
    with tab(browser, dashboard) as opened:
        page = opened.page
        page.wait_for_selector(LIVE)
        hide(page, True)
        wait_until(lambda: time.monotonic() - looked[-1] > 1.0, "nobody looks at the proxy")
        httpx.post(f"{dashboard.proxy.url}/v1/messages", json=message(), timeout=LIMIT)
        hide(page, False)
        page.wait_for_selector(LIVE)
        page.locator("#part-recent-requests tbody tr").wait_for()


def hide(page: Page, hidden: bool) -> None:
    """Make the page believe that it is hidden: without a window, chromium shows all its tabs."""
    page.evaluate(
        """(hidden) => {
            Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_the_proxy_is_gone_and_comes_back(
    upstream: SandboxServer, tmp_path: Path, browser: Browser
) -> None:
    """After a restart nobody is signed in; a new link signs in all tabs."""
    from tests.dashboard.chromium import tab

    accounts = [account("a", upstream.url)]
    with ExitStack() as first:
        running = first.enter_context(served(Proxy(accounts), tmp_path))
        port = int(running.url.rpartition(":")[2])
        with tab(browser, running) as opened:
            opened.expected += GONE
            page = opened.page
            page.wait_for_selector(LIVE)
            page.wait_for_selector("#part-pool [scope=row]")
            first.close()
            page.wait_for_selector(LOST)
            page.wait_for_selector("#stale")
            assert page.locator("#part-pool [scope=row]").count() == 1, "what is old stays"
            with served(Proxy(accounts), tmp_path, port=port) as again:
                page.wait_for_selector(OUT)
                page.get_by_text("You are signed out").wait_for()
                assert page.locator("#part-pool").count() == 0, "without a session nothing is seen"
                assert "neurolink dashboard" in page.locator("main").inner_text()
                other = page.context.new_page()
                other.goto(again.link)
                other.wait_for_selector(LIVE)
                page.wait_for_selector(LIVE)
                page.wait_for_selector("#part-pool [scope=row]")


def test_the_connection_is_lost_for_a_moment(dashboard: Served, browser: Browser) -> None:
    """What has changed meanwhile is there after it."""
    from tests.dashboard.chromium import tab

    with between(dashboard) as proxy, tab(browser, dashboard) as opened:
        opened.expected += GONE
        page = opened.page
        page.wait_for_selector(LIVE)
        sign_in(page, dashboard, proxy)
        page.wait_for_selector(LIVE)
        proxy.open = False
        page.wait_for_selector(LOST)
        httpx.post(f"{dashboard.proxy.url}/v1/messages", json=message(), timeout=LIMIT)
        proxy.open = True
        page.locator("#part-recent-requests tbody tr").wait_for()
        page.wait_for_selector(LIVE)
        assert page.locator("#stale").count() == 0


def test_no_websocket_passes(dashboard: Served, browser: Browser) -> None:
    """The page asks, until one passes."""
    from tests.dashboard.chromium import tab

    with between(dashboard) as proxy, tab(browser, dashboard) as opened:
        opened.expected += GONE
        page = opened.page
        page.wait_for_selector(LIVE)
        proxy.upgrades = False
        sign_in(page, dashboard, proxy)
        page.wait_for_selector(POLLING)
        httpx.post(f"{dashboard.proxy.url}/v1/messages", json=message(), timeout=LIMIT)
        page.locator("#part-recent-requests tbody tr").wait_for()
        assert page.locator(POLLING).count() == 1
        proxy.upgrades = True
        page.wait_for_selector(LIVE)


def sign_in(page: Page, dashboard: Served, proxy: Between) -> None:
    page.goto(dashboard.link.replace(dashboard.url, proxy.url))
    page.wait_for_url(proxy.url + "/")


@dataclass
class Between:
    """A proxy between a browser and the dashboard, like a tunnel."""

    target: int
    open: bool = True
    """Whether it takes connections; what is open when it stops is closed."""
    upgrades: bool = True
    """Whether a WebSocket passes."""
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    running: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self.target)) as on:
            threading.Thread(target=self._copy, args=(on, client), daemon=True).start()
            self._copy(client, on)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            source.settimeout(0.05)
            while self.open:
                try:
                    data = source.recv(65536)
                except TimeoutError:
                    continue
                if not data or (b"Upgrade: websocket" in data and not self.upgrades):
                    break
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def between(dashboard: Served) -> Iterator[Between]:
    proxy = Between(int(dashboard.url.rpartition(":")[2]))
    threading.Thread(target=proxy.serve, daemon=True).start()
    yield proxy
    proxy.open = False
    proxy.listener.shutdown(socket.SHUT_RDWR)
    proxy.listener.close()
