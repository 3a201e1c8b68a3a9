from __future__ import annotations

from collections.abc import Iterator

import pytest

from neurolink_mitm.dashboard.pages import PAGES
from neurolink_mitm.dashboard.web.guard import HEADERS, LARGEST_BODY
from tests.dashboard.harness import Served, served
from tests.dashboard.raw import HANDSHAKE, ask
from tests.flows.harness import Proxy

US = "Host: 127.0.0.1:PORT"
OURS = "Origin: http://127.0.0.1:PORT"


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all tests of this file: nothing here changes it."""
    with served(Proxy([]), tmp_path_factory.mktemp("guard")) as running:
        yield running


HOSTS = {
    "127.0.0.1:PORT": 200,
    "127.0.0.1": 200,
    "LocalHost:PORT": 200,
    "[::1]:PORT": 200,
    "127.0.0.1:9999": 200,  # a tunnel may begin at any port
    "": 403,
    "evil.example": 403,
    "evil.example:PORT": 403,
    "127.0.0.1.evil.example": 403,
    "localhost.evil.example": 403,
    "localhost.": 403,
    "192.168.1.2:PORT": 403,
    "0.0.0.0:PORT": 403,
    "user@127.0.0.1": 403,
    "127.0.0.1/evil.example": 403,
    "127.0.0.1, evil.example": 403,
    "[::1": 403,
    "127.1": 403,
    "2130706433": 403,
}


def test_only_names_of_loopback_are_served(dashboard: Served) -> None:
    """Else a page could rebind its own name to this machine, and would be of our origin."""
    statuses = {host: ask(dashboard, "GET /", f"Host: {host}").status for host in HOSTS}
    assert statuses == HOSTS


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("GET /", (), 400),
        ("GET /", (US, "Host: evil.example"), 400),
        ("GET /", (US, OURS, "Origin: http://evil.example"), 400),
        ("GET http://evil.example/", (US,), 404),
        ("GET /", ("Host: evil.example", "X-Forwarded-Host: 127.0.0.1:PORT"), 403),
        ("GET /", (US, "Origin: null"), 403),
        ("GET /", (US, "Sec-Fetch-Site: cross-site"), 403),
        ("GET /", (US, "Sec-Fetch-Site: same-site"), 403),
        ("GET /", (US, "Sec-Fetch-Site: same-origin"), 200),
    ],
    ids=["no-host", "two-hosts", "two-origins", "absolute-form", "forwarded-host", "null-origin", "cross-site",
         "same-site", "same-origin"],
)  # fmt: skip
def test_heads(dashboard: Served, request_line: str, headers: tuple[str, ...], status: int) -> None:
    assert ask(dashboard, request_line, *headers).status == status


FOREIGN = (
    "",
    "Origin: null",
    "Origin: http://evil.example",
    "Origin: http://127.0.0.1:1",  # the same site: another program of this machine
    "Origin: http://127.0.0.1",
    "Origin: https://127.0.0.1:PORT",
    "Origin: http://localhost:PORT",
    "Origin: http://127.0.0.1:PORT.evil.example",
    "Origin: file://",
)


def test_what_changes_something_comes_from_our_own_pages(dashboard: Served) -> None:
    """Across sites nothing is posted, and no WebSocket opened: the browser says where it comes from."""
    upgrade = [f"{name}: {value}" for name, value in HANDSHAKE.items()]
    form = ("Content-Type: application/x-www-form-urlencoded", "Content-Length: 0")
    for origin in FOREIGN:
        for path in ("/signin", "/signout", "/actions/pause", "/"):
            assert ask(dashboard, f"POST {path}", US, origin, *form).status == 403, (path, origin)
        assert ask(dashboard, "GET /live", US, origin, *upgrade).status == 403, origin
        for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"):
            assert ask(dashboard, f"{method} /", US, origin).status == 403, (method, origin)


ANSWERS = {
    "GET /": 200,
    "HEAD /": 200,
    "GET /signin": 200,
    "GET /static/dashboard.css": 200,
    "GET /nothing": 404,
    "GET /static/nothing": 404,
    "GET /static": 307,
    "GET /static/": 404,
    "GET /parts/pool": 401,
    "GET /actions/pause": 405,
    "GET /live": 404,
    "POST /": 405,
    "POST /signin": 400,
    "POST /actions/pause": 401,
    "GET /history/": 307,
    "garbage": 400,
    **{f"GET /{page.name}": 200 for page in PAGES[1:]},
}


def test_every_response_has_the_headers(dashboard: Served) -> None:
    def answer(request: str) -> int:
        got = ask(dashboard, request, US, OURS)
        assert {name: got.headers.get(name) for name in HEADERS} == HEADERS, request
        assert "server" not in got.headers
        assert "access-control-allow-origin" not in got.headers
        return got.status

    assert {request: answer(request) for request in ANSWERS} == ANSWERS


def test_a_refused_websocket_has_the_headers_too(dashboard: Served) -> None:
    upgrade = [f"{name}: {value}" for name, value in HANDSHAKE.items()]
    asked = {
        "another origin": ("GET /live", US, "Origin: http://evil.example", *upgrade),
        "another path": ("GET /other", US, OURS, *upgrade),
        "no version": ("GET /live", US, OURS, "Upgrade: websocket", "Connection: Upgrade, close"),
    }
    answers = {name: ask(dashboard, *each) for name, each in asked.items()}
    assert [each.status for each in answers.values()] == [403, 404, 404]
    for name, answer in answers.items():
        assert {each: answer.headers.get(each) for each in HEADERS} == HEADERS, name


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((f"Content-Length: {LARGEST_BODY + 1}",), 413),
        ((f"Content-Length: {'9' * 19}",), 413),
        (("Transfer-Encoding: chunked",), 411),
        (("Content-Length: -1",), 400),
    ],
    ids=["large", "absurd", "chunked", "negative"],
)
def test_a_body_is_bounded(dashboard: Served, headers: tuple[str, ...], status: int) -> None:
    assert ask(dashboard, "POST /signin", US, OURS, *headers).status == status


TRAVERSALS = (
    "/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py", "/static//etc/passwd",
    "/static/..%5cserver.py", "/static/%00", "/static/dashboard.css%00.js", "/static/%2e%2e%2f%2e%2e%2fports.py",
    "/static/" + "a" * 5000, "/static/" + "../" * 50 + "etc/passwd", "/static/%ff%fe", "/parts/../static/x",
)  # fmt: skip


def test_no_path_leads_out_of_the_static_files(dashboard: Served) -> None:
    statuses = {ask(dashboard, f"GET {path}", US).status for path in TRAVERSALS}
    assert statuses == {404}
