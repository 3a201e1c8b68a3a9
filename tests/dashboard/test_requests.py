from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.dashboard.harness import Served

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = "</td><script>alert(1)</script>\x1b[2J\u202e"


def write(logs: Path, family: str, *rows: dict[str, Any]) -> None:
    path = logs / f"{family}-2026-11-22.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as file:
        for number, row in enumerate(rows):
            stamped = {"timestamp": f"2026-11-22T08:{number:02}:00.000Z", **row}
            file.write(msgspec.json.encode(stamped) + b"\n")


def test_a_search(dashboard: Served) -> None:
    write(
        dashboard.home.logs, "proxy",
        {"requestId": "req_1", "outcome": "complete", "responseStatus": 200, "account": "a", "costUsd": 1e308},
        {"requestId": "req_2", "outcome": "error", "responseStatus": 429, "account": HOSTILE, "why": HOSTILE,
         "model": HOSTILE, "sessionId": HOSTILE, "inputTokens": -5, "responseTimeMs": 1e308},
        {"requestId": "req_3", "inputTokens": "many"},
        *({"requestId": f"req_1{n}", "outcome": "complete"} for n in range(60)),
    )  # fmt: skip
    attempt = {"requestId": "req_1", "attempt": 1, "errorType": "tls_error"}
    write(dashboard.home.logs, "proxy-attempts", attempt)
    with dashboard.signed_in() as client:

        def page(**query: str) -> str:
            response = client.get("/parts/requests", params=query)
            assert response.status_code == 200
            assert "<script>" not in response.text
            return response.text

        assert page().count('href="/request?') == 50
        assert page(q="TLS_error").count('href="/request?') == 1
        assert "/request?id=req_2" in page(status="4xx")
        assert "/request?id=req_1&" not in page(account="a", status="429")
        assert "No such request" in page(q="nowhere")
        assert "Nothing was searched" in page(status="teapot", since="someday")
        assert "not after the other one" in page(since="2h", until="3h")
        assert "2026-11-22" in page(since="30000d", at="2026-11-22.99999", until="now")
        for text in (HOSTILE, "%00", "x" * 9000, "'\"><", "(["):
            page(**dict.fromkeys(("q", "account", "model", "session", "at", "id"), text))
        first = page()
        assert "newer" not in first
        at = first.partition("at=")[2].partition('"')[0]
        assert page(at=at).count('href="/request?') == 12


@pytest.mark.real("browser")
def test_the_page_of_requests(dashboard: Served, browser: Browser) -> None:
    from tests.dashboard.chromium import tab

    write(dashboard.home.logs, "proxy", {"requestId": "req_1", "outcome": "complete"})
    with tab(browser, dashboard, "/requests", viewport={"width": 360, "height": 700}) as opened:
        page = opened.page
        page.wait_for_selector("text=complete")
        page.keyboard.press("/")
        page.keyboard.type("req_2")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=No such request")
        assert page.url.endswith("/requests?q=req_2")
        page.go_back()
        page.wait_for_selector("text=complete")
        page.wait_for_selector("#connection[data-state=live]")
        write(dashboard.home.logs, "proxy", {"requestId": "req_3", "outcome": "truncated"})
        page.click("text=Show them")
        page.wait_for_selector("text=truncated")
        width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(width) <= 0


@pytest.mark.real("browser")
def test_days_are_those_of_the_viewer(dashboard: Served, browser: Browser) -> None:
    """The proxy groups by its own days; the times beside them are in the viewer's zone."""
    from tests.dashboard.chromium import tab

    write(dashboard.home.logs, "proxy", *({"requestId": f"req_{n}"} for n in range(3)))
    for zone, day in (("Pacific/Kiritimati", "22 November"), ("Pacific/Pago_Pago", "21 November")):
        with tab(browser, dashboard, "/requests", timezone_id=zone) as opened:
            rows = opened.page.locator("#part-requests tbody tr:not(.day)")
            rows.nth(2).wait_for()
            [heading] = opened.page.locator("#part-requests .day").all_text_contents()
            assert day in heading
