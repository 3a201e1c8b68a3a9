from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest

from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.dashboard.harness import Served
from tests.dashboard.test_requests import HOSTILE, write
from tests.flows.harness import CLAUDE_CODE, message

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SECRET = "open-sesame-1"
"""It has become a secret after the rows were written."""
ID = "req_nl_1"


def side(
    logs: Path, phase: str, body: object = None, encoding: str = "json", **fields: Any
) -> None:
    """Write a captured side with its body."""
    row = {
        "requestId": ID,
        "phase": phase,
        "headers": [["accept", "*/*"]],
        "bodyBytes": 9,
        **fields,
    }
    if body is not None:
        path = logs / "bodies" / f"{phase}-{fields.get('attempt')}.json.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {"encoding": encoding, "bytes": 9, "truncated": False, "contentType": "x"}
        path.write_bytes(gzip.compress(msgspec.json.encode({**about, "body": body})))
        row["bodyPath"] = f"bodies/{path.name}"
    write(logs, "proxy-debug", row)


STREAM = "".join(
    f"event: content_block_delta\ndata: {json.dumps(data)}\n\n"
    for data in (
        {"index": 0, "delta": {"text": "Hello "}},
        {"index": 0, "delta": {"text": HOSTILE}},
    )
)


@pytest.fixture
def client(dashboard: Served) -> Any:
    dashboard.proxy.runtime.environ = {"DOOR_TOKEN": SECRET}
    with dashboard.signed_in() as signed_in:
        yield signed_in


def part(client: httpx.Client, name: str, **query: object) -> str:
    response = client.get(f"/parts/{name}", params={"id": ID, **query})
    assert response.status_code == 200
    assert "<script>" not in response.text
    assert SECRET not in response.text
    return response.text


def test_a_request_that_failed_over(dashboard: Served, client: httpx.Client) -> None:
    logs = dashboard.home.logs
    served = {"requestId": ID, "outcome": "complete", "attempts": 2}
    why = {"why": f"{HOSTILE} {SECRET}", "sessionId": "s1", "costUsd": 0.5}
    write(logs, "proxy", {**served, **why, "responseTimeMs": 900, "ttfbMs": 500})
    write(
        logs, "proxy-attempts",
        {"requestId": ID, "attempt": 1, "account": "a", "responseStatus": 429, "errorType": "rate_limit_error",
         "connectMs": 1e308, "tlsMs": 3, "waitMs": 20, "durationMs": 100, "cooldownMs": 5000, "retryAfter": 4},
        {"requestId": ID, "attempt": 2, "account": HOSTILE, "responseStatus": 200, "connectMs": 0, "reused": True},
    )  # fmt: skip
    html = part(client, "request")
    for text in ("rate_limit_error", "cools for", "bar-wait", "/requests?session=s1", "reused", "$0.50"):  # fmt: skip
        assert text in html


def test_what_was_changed_is_shown_place_by_place(dashboard: Served, client: httpx.Client) -> None:
    logs = dashboard.home.logs
    asked = {"messages": [{"content": f"Where is Kingfisher? {SECRET}"}], "x": 1}
    sent = {"messages": [{"content": f"Where is NL_1? {SECRET}"}], "x": 1}
    side(logs, "client_request", asked, method="POST", url="/v1/messages")
    side(logs, "upstream_request", sent, attempt=1, headers=[["x-api-key", SECRET]])
    side(logs, "upstream_response", STREAM, "text", attempt=1, status=200)
    side(logs, "client_response", STREAM.replace("Hello", "Howdy"), "text", status=200)
    html = re.sub(r"</?b>", "", part(client, "captured"))
    assert "messages[0].content" in html
    assert "Where is Kingfisher?" in html
    assert "Where is NL_1?" in html
    assert "Howdy" in html
    assert "&#34;Formatted" not in html
    assert "Hello &lt;/td&gt;" in part(client, "side", side=2)
    assert part(client, "side", side=2, view="events").count('class="event"') == 2
    assert "&#34;x&#34;: 1" in part(client, "side", side=0)
    assert "&#34;x&#34;:1" in part(client, "side", side=0, view="raw")
    har = client.get("/files/har", params={"id": ID})
    assert SECRET not in har.text
    assert len(har.json()["log"]["entries"]) == 1
    client.headers.pop("x-neurolink-key")
    assert client.get("/files/har", params={"id": ID}).status_code == 401


def test_a_large_body_comes_in_pieces(dashboard: Served, client: httpx.Client) -> None:
    text = "\x00\u202e<b>" + "¶" * 200_000
    side(dashboard.home.logs, "client_request", text, "text")
    shown, at = "", "0"
    for _ in range(9):
        html = part(client, "side", side=0, at=at)
        shown += html
        if not (more := re.search(r"at=(\d+)&?[^\"]*\" hx-target", html)):
            break
        at = more[1]
    assert shown.count("¶") == 200_000
    assert "\\x00\\u202e&lt;b&gt;" in shown


@pytest.mark.parametrize(
    "rows",
    [
        [{"phase": "client_request", "headers": [["a"], [1, 2], ["b", "c"]], "bodyPath": "../../tokens.json"}],
        [{"phase": HOSTILE, "bodyPath": "bodies/none", "bodyBytes": -1, "status": 10**30}],
        [{"phase": "client_request", "attempt": -7}, {"phase": "upstream_request"}, {"phase": "client_response"}],
    ],
    ids=["odd headers", "odd values", "no bodies"],
)  # fmt: skip
def test_odd_rows_of_captured_sides(
    dashboard: Served, client: httpx.Client, rows: list[dict[str, Any]]
) -> None:
    write(dashboard.home.logs, "proxy-debug", *({"requestId": ID, **row} for row in rows))
    part(client, "captured")
    for number in (0, 1, 9, "x", "-1", "٣"):
        part(client, "side", side=number, at=number)


@pytest.mark.parametrize("id_", ["", "nowhere", HOSTILE, "../..", "x" * 5000, "%"])
def test_an_unknown_request(client: httpx.Client, id_: str) -> None:
    assert "No such request" in part(client, "request", id=id_) or not id_
    part(client, "captured", id=id_)
    part(client, "side", id=id_)


def test_a_request_in_flight(
    dashboard: Served, client: httpx.Client, upstream: SandboxServer
) -> None:
    upstream.script("a", Reply(429, headers={"retry-after": "9"}))
    upstream.script("b", Reply(stall_after=4))
    url = f"{dashboard.proxy.url}/v1/messages"
    with httpx.stream(
        "POST", url, json=message(), headers=CLAUDE_CODE, trust_env=False
    ) as response:
        chunks = response.iter_raw()
        assert next(chunks)
        html = part(client, "request", id=response.headers["x-neurolink-request-id"])
        part(client, "captured", id=response.headers["x-neurolink-request-id"])
    for text in ("streaming", "under way", "429 rate_limit_error", "bar-failed", "load delay:1s"):
        assert text in html


@pytest.mark.real("browser")
def test_the_page_of_a_request(dashboard: Served, browser: Browser) -> None:
    from tests.dashboard.chromium import tab

    logs = dashboard.home.logs
    write(logs, "proxy", {"requestId": ID, "outcome": "complete", "responseTimeMs": 900})
    side(logs, "client_request", {"messages": [HOSTILE]})
    side(logs, "client_response", STREAM, "text")
    with tab(
        browser, dashboard, f"/request?id={ID}", viewport={"width": 360, "height": 700}
    ) as opened:
        page = opened.page
        page.wait_for_selector("svg.lane rect")
        page.click("text=What the client got")
        page.wait_for_selector("text=Hello <")
        page.click("text=Events")
        page.wait_for_selector("text=content_block_delta")
        with page.expect_download() as download:
            page.click("text=Download HAR")
        assert json.loads(download.value.path().read_text())["log"]["entries"]
        width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(width) <= 0
