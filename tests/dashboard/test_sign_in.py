from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.dashboard.harness import Served

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_a_part_needs_both_halves_of_the_session(dashboard: Served) -> None:
    with dashboard.signed_in() as client:
        assert client.get("/parts/pool").status_code == 200
        key = client.headers.pop("x-neurolink-key")
        assert client.get("/parts/pool").status_code == 401
        client.headers["x-neurolink-key"] = key
        client.cookies.clear()
        assert client.get("/parts/pool").status_code == 401


@pytest.mark.real("browser")
def test_the_link_signs_a_browser_in(dashboard: Served, browser: Browser) -> None:
    from tests.dashboard.chromium import tab

    with tab(browser, dashboard) as opened:
        opened.page.wait_for_selector("#connection[data-state=live]")


@pytest.mark.real("browser")
def test_a_link_that_was_used_signs_the_first_browser_out(
    dashboard: Served, browser: Browser
) -> None:
    from tests.dashboard.chromium import tab

    link = dashboard.link
    with tab(browser, dashboard, link=link) as first:
        first.page.wait_for_selector("#connection[data-state=live]")
        first.expected.append("401")
        thief = browser.new_context()
        page = thief.new_page()
        page.goto(link)
        page.get_by_text("This link has expired, or was used.").wait_for()
        assert "#" not in page.url, "no token stays in the history"
        thief.close()
        first.page.wait_for_selector("#connection[data-state=out]")


@pytest.mark.real("browser")
def test_sign_out(dashboard: Served, browser: Browser) -> None:
    from tests.dashboard.chromium import tab

    with tab(browser, dashboard) as opened:
        opened.expected.append("401")
        opened.page.wait_for_selector("#connection[data-state=live]")
        opened.page.get_by_role("button", name="Sign out").click()
        opened.page.wait_for_selector("#connection[data-state=out]")
        opened.page.get_by_text("You are signed out").wait_for()  # once, and no part beside it
        assert opened.page.locator(".part").count() == 0
        assert opened.page.evaluate("localStorage.length") == 0


@pytest.mark.real("browser")
def test_a_page_that_does_not_change_by_itself_says_that_the_session_has_ended(
    dashboard: Served, browser: Browser
) -> None:
    """Also where the end is noticed by an action."""
    from tests.dashboard.chromium import tab

    with tab(browser, dashboard, "/accounts") as opened:
        opened.expected.append("401")
        page = opened.page
        page.get_by_role("button", name="Manage").first.click()
        pause = page.locator("#account-dialog").get_by_role("button", name="2 hours")
        pause.wait_for()
        page.context.clear_cookies()
        pause.click()
        page.get_by_text("You are signed out").wait_for()
        assert page.locator("dialog[open], .part, .toast").count() == 0
        assert page.locator("#connection").inner_text() == "signed out"


ATTACKS = """<!doctype html><title>evil</title><body><script>
const target = "TARGET", results = {};
const note = (name, promise) => promise.then(() => results[name] = "through", () => results[name] = "refused");
const form = () => new URLSearchParams({ account: "a" });
async function attack() {
  await note("read", fetch(target + "/parts/pool", { credentials: "include" }));
  await note("script", new Promise((ok, no) => {
    const script = document.createElement("script");
    Object.assign(script, { src: target + "/static/dashboard.js", onload: ok, onerror: no });
    document.body.append(script);
  }));
  await note("websocket", new Promise((ok, no) => {
    const socket = new WebSocket(target.replace("http", "ws") + "/live");
    socket.onopen = ok; socket.onerror = no;
  }));
  // their answers can't be read; what counts is that nothing is done
  const options = { method: "POST", mode: "no-cors", credentials: "include", body: form() };
  for (const path of ["/actions/pause", "/signout"]) await fetch(target + path, options).catch(() => {});
  const frame = document.createElement("iframe");
  frame.src = target + "/";
  document.body.append(frame);
  await new Promise((done) => frame.onload = done);
  results.frame = frame.contentDocument ? "own" : "foreign";
  const posted = document.createElement("form");
  Object.assign(posted, { method: "post", action: target + "/actions/pause" });
  window.results = results;
  document.body.append(posted);
}
attack();
</script>"""


@pytest.mark.real("browser")
def test_a_page_on_another_port_of_this_machine_gets_nothing(
    dashboard: Served, browser: Browser
) -> None:
    """It is of the same site: the browser sends it our cookie, and sends that to us for it."""
    from tests.dashboard.chromium import tab

    with (
        tab(browser, dashboard) as opened,
        page_of(ATTACKS.replace("TARGET", dashboard.url)) as url,
    ):
        opened.page.wait_for_selector("#connection[data-state=live]")
        evil = opened.page.context.new_page()
        evil.goto(url)
        evil.wait_for_function("window.results")
        results = evil.evaluate("window.results")
        assert results == dict.fromkeys(("read", "script", "websocket"), "refused") | {
            "frame": "foreign"
        }
        evil.evaluate("document.forms[0].submit()")
        evil.get_by_text("requests from other pages are not served").wait_for()
        evil.close()
        assert opened.page.get_attribute("#connection", "data-state") == "live"
        assert not dashboard.proxy.runtime.pool.accounts[0].paused


@contextmanager
def page_of(html: str) -> Iterator[str]:
    """Another program of this machine, with this page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()
