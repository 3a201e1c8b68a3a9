"""Signing in and out over the wire, what a session is asked for, and what becomes of errors."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from neurolink_mitm.claude_code.settings import ClaudeSettings
from neurolink_mitm.dashboard.action import Action, Done, Form, RefusedError, Undo
from neurolink_mitm.dashboard.page import Part, View
from neurolink_mitm.dashboard.site import BusyError
from neurolink_mitm.dashboard.web import access, server
from neurolink_mitm.dashboard.web.access import TRIES
from neurolink_mitm.dashboard.web.live import SIGNED_OUT
from neurolink_mitm.dashboard.web.parts import Parts
from neurolink_mitm.dataplane.threads import SHORT
from tests.dashboard.harness import KEY_HEADER, Served, served
from tests.dashboard.websocket import WebSocket
from tests.flows.harness import Proxy
from tests.waiting import wait_until

PART = "/parts/pool"


def sign_in(client: httpx.Client, link: str) -> httpx.Response:
    return client.post("/signin", json={"token": link.partition("#")[2]})


def test_the_cookie_is_for_this_port_and_for_no_script(dashboard: Served) -> None:
    with dashboard.client() as client:
        cookie = sign_in(client, dashboard.link).headers["set-cookie"]
    name, *attributes = cookie.split("; ")
    assert name.startswith(f"nl_dash_{urlsplit(dashboard.url).port}=")
    assert sorted(attributes) == ["HttpOnly", "Max-Age=43200", "Path=/", "SameSite=strict"]


def test_a_link_is_good_once_whoever_is_first(dashboard: Served) -> None:
    """Of all who use it at the same moment one gets a session, and the next one ends that."""
    link = dashboard.link
    with ThreadPoolExecutor(8) as pool, dashboard.client() as client:
        answers = list(pool.map(lambda _: sign_in(client, link), range(8)))
        [good] = [answer for answer in answers if answer.status_code == 200]
        assert {answer.status_code for answer in answers if answer is not good} == {401}
        client.headers[KEY_HEADER] = good.json()["key"]
        assert (
            client.get(
                PART, headers={"cookie": good.headers["set-cookie"].split(";")[0]}
            ).status_code
            == 401
        )


def test_failed_sign_ins_are_limited_and_the_owner_is_not(dashboard: Served) -> None:
    with dashboard.client() as client:
        answers = [sign_in(client, "#guess") for _ in range(TRIES + 1)]
        assert [answer.status_code for answer in answers] == [401] * TRIES + [429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert sign_in(client, dashboard.link).status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"token": 1}', b"{}", b"\xff", b"[" * 10_000], ids=repr
)
def test_a_sign_in_that_can_not_be_read(dashboard: Served, body: bytes) -> None:
    with dashboard.client() as client:
        assert client.post("/signin", content=body).status_code == 400


def test_who_signs_out_is_out_in_all_tabs(dashboard: Served) -> None:
    with dashboard.signed_in() as client, WebSocket(client).hello("pool") as live:
        live.receive()
        cookie = client.post("/signout").headers["set-cookie"]
        assert "Max-Age=0" in cookie
        assert live.closed() == SIGNED_OUT
        assert client.get(PART).status_code == 401


def test_a_session_ends_after_twelve_hours_and_its_websockets_too(
    dashboard: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dashboard.signed_in() as client, WebSocket(client).hello("pool") as live:
        live.receive()
        monkeypatch.setattr(access, "SESSION_SECONDS", 0)
        assert live.closed() == SIGNED_OUT
        assert client.get(PART).status_code == 401


def test_a_session_ends_with_its_listener(dashboard: Served) -> None:
    """As a cookie of an earlier start."""
    with dashboard.signed_in() as client, WebSocket(client).hello("pool") as live:
        runtime = dashboard.proxy.runtime
        moved = replace(runtime.config, dashboard=replace(dashboard.settings, host="127.0.0.2"))
        dashboard.site.on_loop(lambda: dashboard.dashboard.configure(moved))
        assert live.closed() == 1012, "the page connects anew"
        cookie = f"nl_dash_{urlsplit(dashboard.url).port}={next(iter(client.cookies.values()))}"
        halves = {KEY_HEADER: client.headers[KEY_HEADER], "cookie": cookie}
    assert httpx.get(dashboard.url + PART, headers=halves).status_code == 401


def act(done: Callable[[Form], Done], **fields: Any) -> dict[str, Action]:
    return {"try": Action("try", lambda _, form: done(form), **fields)}


def test_read_only_takes_the_actions_away(
    dashboard: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = dashboard.proxy.runtime
    done: list[Form] = []

    def note(form: Form) -> Done:
        done.append(form)
        return Done("done", refresh=("pool",))

    with dashboard.signed_in() as client:
        for read_only, changes, status in (
            (True, True, 403),
            (True, False, 200),
            (False, True, 200),
        ):
            settings = replace(dashboard.settings, read_only=read_only)
            runtime.config = replace(runtime.config, dashboard=settings)
            monkeypatch.setattr(server, "ACTIONS", act(note, changes=changes))
            answer = client.post("/actions/try", data={"a": "1"})
            assert answer.status_code == status
    assert done == [{"a": "1"}, {"a": "1"}]
    assert answer.headers["hx-trigger"] == '{"refresh-pool":true}'


@pytest.mark.parametrize(
    "kind", ["application/json", "multipart/form-data; boundary=x", "text/plain", "x"]
)
def test_a_form_of_another_type_is_not_read(
    dashboard: Served, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    done: list[Form] = []
    monkeypatch.setattr(server, "ACTIONS", act(lambda form: done.append(form) or Done("done")))  # type: ignore[func-returns-value]
    with dashboard.signed_in() as client:
        answer = client.post("/actions/try", content=b"a=1", headers={"content-type": kind})
    assert (answer.status_code, "can&#39;t be read" in answer.text, done) == (400, True, [])


def test_a_form_that_is_too_long_for_an_address_is_posted_to_its_part(dashboard: Served) -> None:
    with dashboard.signed_in() as client:
        answer = client.post("/parts/requests", data={"q": "no such request", "x": "x" * 100_000})
        assert "no such request" in answer.text
        assert client.post("/parts/requests", content=b"\xff").status_code == 400


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (RefusedError("there is no <such> account"), 409, "there is no &lt;such&gt; account"),
        (BusyError("the proxy does not answer"), 503, "the proxy does not answer"),
        (ValueError("sk-ant-api03-secret-of-ours"), 500, "this has failed; the log says why"),
    ],
    ids=["refused", "busy", "broken"],
)
def test_an_action_that_is_not_done_says_why(
    dashboard: Served,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    text: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(form: Form) -> Done:
        raise error

    monkeypatch.setattr(server, "ACTIONS", act(fail))
    with dashboard.signed_in() as client:
        answer = client.post("/actions/try")
    assert (answer.status_code, text in answer.text) == (status, True)
    assert "sk-ant-api03-secret-of-ours" not in answer.text + caplog.text


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (BusyError("the proxy does not answer"), 503, "the proxy does not answer"),
        (ValueError("sk-ant-api03-secret-of-ours"), 500, "this part can&#39;t be shown"),
    ],
    ids=["busy", "broken"],
)
def test_a_part_that_can_not_be_shown_says_so_in_its_place(
    dashboard: Served, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, text: str
) -> None:
    def fail(parts: Parts, part: Part, view: View) -> None:
        raise error

    monkeypatch.setattr(Parts, "fragment", fail)
    with dashboard.signed_in() as client:
        answer = client.get(PART)
    assert (answer.status_code, text in answer.text) == (status, True)
    assert 'id="part-pool"' in answer.text
    assert "sk-ant-api03-secret-of-ours" not in answer.text


def test_a_page_that_fails_is_logged_without_its_query(
    dashboard: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("odd")

    with dashboard.client() as client:
        assert client.get("/").status_code == 200
        monkeypatch.setattr(server, "query_of", fail)
        answer = client.get("/history?secret")
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert "content-security-policy" in answer.headers
    wait_until(lambda: caplog.records, "the log's line, which comes after the answer")
    [line, *traceback] = caplog.records[0].getMessage().splitlines()
    assert (line, traceback[-1]) == ("a page of the dashboard has failed", "ValueError: odd")
    assert "secret" not in caplog.text


def test_who_leaves_before_the_answer_is_no_error(
    dashboard: Served, caplog: pytest.LogCaptureFixture
) -> None:
    place = urlsplit(dashboard.url)
    head = f"POST /signin HTTP/1.1\r\nHost: {place.netloc}\r\nOrigin: {dashboard.url}\r\nContent-Length: 9\r\n\r\n{{"
    for _ in range(3):
        with socket.create_connection((place.hostname, place.port)) as connection:
            connection.sendall(head.encode())
    with dashboard.client() as client:
        assert client.get("/").status_code == 200
    assert caplog.records == []


def test_nothing_that_signs_in_is_logged(
    dashboard: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """At any level: mitmproxy's programs show what is logged as information."""
    caplog.set_level(logging.DEBUG)
    link = dashboard.link
    with dashboard.client() as client:
        client.get(f"/signin?{link.partition('#')[2]}")
        key = sign_in(client, link).json()["key"]
        with WebSocket(client, **{KEY_HEADER: key}) as live:
            live.key = key
            live.hello("pool").receive()
        halves = (key, *client.cookies.values(), link.partition("#")[2])
    ours = [r.getMessage() for r in caplog.records if not r.name.startswith(("httpx", "httpcore"))]
    assert not [line for line in ours for half in halves if half in line]


def test_a_part_gives_the_loop_of_the_flows_its_turns(
    dashboard: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python changes threads every 5 ms otherwise, and a chunk of a stream would wait for so long."""
    intervals: list[float] = []
    fragment = Parts.fragment

    def note(parts: Parts, part: Part, view: View) -> Any:
        intervals.append(sys.getswitchinterval())
        return fragment(parts, part, view)

    monkeypatch.setattr(Parts, "fragment", note)
    with dashboard.signed_in() as client:
        assert client.get(PART).status_code == 200
    assert intervals == [SHORT]


def test_undo_is_a_form_of_the_message(dashboard: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    undo = Undo("resume", {"account": '<b>"a'})
    monkeypatch.setattr(server, "ACTIONS", act(lambda _: Done("paused <b>", undo)))
    with dashboard.signed_in() as client:
        html = client.post("/actions/try").text
    assert 'hx-post="/actions/resume"' in html
    assert "<b>" not in html
    assert 'value="&lt;b&gt;&#34;a"' in html


def test_an_address_without_a_page_has_the_menu(dashboard: Served) -> None:
    for path in ("/nothing", "/static/nothing.js"):
        answer = httpx.get(dashboard.url + path)
        assert answer.status_code == 404
        assert "No such page" in answer.text
        assert 'href="/history"' in answer.text


def test_a_page_without_accounts_says_what_to_do(tmp_path: Path) -> None:
    with served(Proxy([]), tmp_path) as dashboard, dashboard.signed_in() as client:
        runtime = dashboard.proxy.runtime
        assert 'href="/accounts"' in client.get("/parts/pool").text
        assert "serve at once" in client.get("/parts/add-account").text
        settings = replace(dashboard.settings, read_only=True)
        runtime.config = replace(runtime.config, dashboard=settings)
        assert 'href="/accounts"' not in client.get("/parts/pool").text
        assert "Read-only" in client.get("/").text
        runtime.passthrough = True
        assert "No account is used" in client.get("/parts/pool").text
        added = client.get("/parts/add-account").text
        assert ("serve at once" in added, "without --passthrough" in added) == (False, True)


def test_how_to_send_a_first_request(tmp_path: Path) -> None:
    with served(Proxy([]), tmp_path) as dashboard, dashboard.signed_in() as client:
        runtime, record = dashboard.proxy.runtime, dashboard.home.claude_settings
        export = f"export ANTHROPIC_BASE_URL=http://127.0.0.1:{runtime.port}"
        assert export in client.get("/parts/live-requests").text
        settings = ClaudeSettings(record)
        settings.claim(tmp_path / "settings.json", runtime.pid, f"http://127.0.0.1:{runtime.port}")
        assert export not in client.get("/parts/live-requests").text
        record.write_text("{")
        assert export in client.get("/parts/live-requests").text
