from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from neurolink_mitm.core.logs.capture import Document
from neurolink_mitm.records import har
from neurolink_mitm.records.row_reader import LoggedAttempt


def row(
    phase: str, request: str = "req_1", attempt: int | None = None, **more: Any
) -> dict[str, Any]:
    return {"requestId": request, "phase": phase, "attempt": attempt,
            "timestamp": "2025-10-09T08:53:20.000Z", **more}  # fmt: skip


def shown(rows: list[dict[str, Any]]) -> list[tuple[str, Any, str | None]]:
    return [(q["phase"], q["attempt"], a and a["phase"]) for q, a in har.pairs(rows)]


def test_an_attempt_is_an_entry() -> None:
    rows = [
        row("upstream_request", attempt=1),
        row("upstream_response", attempt=1),
        row("client_request"),
        row("upstream_request", attempt=2),
        row("upstream_response", attempt=2),
        row("client_response"),
    ]
    assert shown(rows) == [
        ("upstream_request", 1, "upstream_response"),
        ("upstream_request", 2, "upstream_response"),
    ]


def test_both_forms_of_a_translated_request_are_entries() -> None:
    rows = [
        row("client_request", method="POST", url="/v1/chat/completions?x=1"),
        row("upstream_request", attempt=1),
        row("upstream_response", attempt=1),
        row("client_response"),
    ]
    assert shown(rows) == [
        ("upstream_request", 1, "upstream_response"),
        ("client_request", None, "client_response"),
    ]


def test_what_was_never_sent_on_is_one_of_the_clients() -> None:
    rows = [row("client_request"), row("client_response")]
    assert shown(rows) == [("client_request", None, "client_response")]


def test_an_attempt_without_answer() -> None:
    assert shown([row("upstream_request", attempt=1)]) == [("upstream_request", 1, None)]


def test_requests_that_wait_for_an_answer_are_bounded() -> None:
    many = [row("upstream_request", f"req_{n}", 1) for n in range(3000)]
    found = har.pairs(iter(many))
    next(found)
    assert len(list(found)) == 2999


def document(raw: bytes, kind: str = "application/json") -> Document:
    encoding = "json" if raw[:1] == b"{" else "text"
    return Document(encoding=encoding, bytes=9, truncated=False, contentType=kind, body=msgspec.Raw(raw))  # fmt: skip


def test_an_entry_is_as_har_has_it() -> None:
    asked = row("upstream_request", attempt=2, account="work", method="POST",
                url="https://h/v1/messages?beta=true", headers=[["a", "b"]], bodyBytes=7)  # fmt: skip
    answer = row(
        "upstream_response", attempt=2, status=429, durationMs=12.5, headers=[], bodyBytes=9
    )
    text = har.entry(
        asked, answer, document(b'{"a" : 1}'), document(b'"event: x"', "text/event-stream")
    )
    whole = json.loads(har.HEAD + text + har.TAIL)
    [entry] = whole["log"]["entries"]
    assert whole["log"]["version"] == "1.2"
    assert entry["comment"] == "req_1, attempt 2 as work"
    assert entry["request"]["queryString"] == [{"name": "beta", "value": "true"}]
    assert entry["request"]["headers"] == [{"name": "a", "value": "b"}]
    assert entry["request"]["postData"]["text"] == '{"a" : 1}'
    assert entry["response"]["statusText"] == "Too Many Requests"
    assert entry["response"]["content"]["text"] == "event: x"
    assert entry["time"] == entry["timings"]["wait"] == 12.5


NEW = {"connectMs": 10.0, "tlsMs": 20.0, "waitMs": 30.0}


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (NEW, {"connect": 30, "ssl": 20, "wait": 30, "receive": 40}),
        ({**NEW, "tlsMs": 0.0}, {"connect": 10, "ssl": -1, "wait": 30, "receive": 60}),
        (
            {"connectMs": 0.0, "tlsMs": 0.0, "waitMs": 30.0, "reused": True},
            {"connect": -1, "ssl": -1, "wait": 30, "receive": 70},
        ),
        ({**NEW, "waitMs": None}, {"connect": 30, "ssl": 20, "wait": 70, "receive": 0}),
        (
            {"connectMs": 1e308, "tlsMs": 1e308, "waitMs": -1.0},
            {"connect": 100, "ssl": 100, "wait": 0, "receive": 0},
        ),
        ({}, {"wait": 100, "receive": 0}),
    ],
    ids=["new", "plain", "reused", "no answer", "any number", "an older row"],
)
def test_an_entry_has_the_phases_of_its_attempt(
    times: dict[str, Any], expected: dict[str, float]
) -> None:
    asked, answer = row("upstream_request"), row("upstream_response", durationMs=100.0)
    attempt = LoggedAttempt("2025-10-09T08:53:20.000Z", **times)
    entry = json.loads(har.entry(asked, answer, None, None, attempt))
    assert entry["timings"] == {"send": 0, **expected}
    phases = {name: ms for name, ms in entry["timings"].items() if name != "ssl" and ms > 0}
    assert sum(phases.values()) == entry["time"]


def test_an_entry_of_what_was_not_answered() -> None:
    entry = json.loads(har.entry(row("upstream_request", attempt=1), None, None, None))
    assert (entry["response"]["status"], "postData" in entry["request"]) == (0, False)


@pytest.mark.parametrize(
    ("said", "url", "query"),
    [
        ("/v1/messages", "http://127.0.0.1:55669/v1/messages", []),
        ("/v1/é?q=ü [1]", "http://127.0.0.1:55669/v1/%C3%A9?q=%C3%BC%20%5B1%5D", [("q", "ü [1]")]),
        ("/50%?a=%41&b", "http://127.0.0.1:55669/50%25?a=%41&b", [("a", "A"), ("b", "")]),
        ("//[", "http://127.0.0.1:55669//%5B", []),
        ("/a\nb", "http://127.0.0.1:55669/a%0Ab", []),
        ("", "http://127.0.0.1:55669", []),
        ("https://[::1]:8/v1/x?y=1", "https://[::1]:8/v1/x?y=1", [("y", "1")]),
    ],
)
def test_urls_are_whole_and_legal(said: str, url: str, query: list[tuple[str, str]]) -> None:
    """As HAR's schema wants them, whatever a client has sent."""
    asked = row("client_request", url=said, headers=[["Host", "127.0.0.1:55669"]])
    request = json.loads(har.entry(asked, None, None, None))["request"]
    assert request["url"] == url
    assert [(each["name"], each["value"]) for each in request["queryString"]] == query


def test_a_client_that_names_no_host() -> None:
    entry = json.loads(har.entry(row("client_request", url="/v1/x"), None, None, None))
    assert entry["request"]["url"] == "http://localhost/v1/x"
