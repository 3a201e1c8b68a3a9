"""Live updates: without a socket where a rule is tested, with one where the wiring is."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from starlette.types import Message
from starlette.websockets import WebSocket as ServerSocket

from neurolink_mitm.dashboard.web import live as module
from neurolink_mitm.dashboard.web.access import Access, Session, digest
from neurolink_mitm.dashboard.web.live import (
    MAX_BROWSERS,
    MAX_STRANGERS,
    NOT_ASKED,
    SIGNED_OUT,
    TRY_AGAIN,
    Live,
    news,
)
from neurolink_mitm.dashboard.web.parts import Fragment
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.dashboard.harness import Served
from tests.dashboard.websocket import Ended, WebSocket
from tests.flows.harness import LIMIT, connect, message, raw_request
from tests.waiting import wait_until

NOW = "live-requests"
SOON = 0.5
"""Seconds within which a change is seen."""
TOO_BIG = 1009


class Looked:
    """Live parts `a` and `b`, whose HTML is set by a test, and how often somebody has looked."""

    def __init__(self) -> None:
        self.names = frozenset({"a", "b"})
        self.html = dict.fromkeys(self.names, "one")
        self.looks: list[Collection[str]] = []

    def now(self) -> float:
        return 1.5

    def look(self, names: Collection[str]) -> Mapping[str, Fragment]:
        self.looks.append(frozenset(names))
        return {name: Fragment(name, self.html[name], self.html[name]) for name in names}


@dataclass
class Browser:
    """The other side of a socket. While `reads` is not set, nothing can be sent to it."""

    session: Session
    inbox: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)
    received: list[dict[str, Any]] = field(default_factory=list)
    closed: int | None = None
    reads: asyncio.Event = field(default_factory=asyncio.Event)

    def socket(self) -> ServerSocket:
        cookie = f"nl_dash_1={self.session.cookie}".encode()
        scope = {"type": "websocket", "server": ("127.0.0.1", 1), "headers": [(b"cookie", cookie)]}
        self.inbox.put_nowait({"type": "websocket.connect"})
        self.reads.set()
        return ServerSocket(scope, self.inbox.get, self._send)

    def say(self, *parts: str, key: str | None = None) -> None:
        hello = {"key": key or self.session.key, "parts": dict.fromkeys(parts, "")}
        self.inbox.put_nowait({"type": "websocket.receive", "text": json.dumps(hello)})

    def leave(self) -> None:
        self.inbox.put_nowait({"type": "websocket.disconnect", "code": 1005})

    async def _send(self, sent: Message) -> None:
        await self.reads.wait()
        if sent["type"] == "websocket.close":
            self.closed = sent["code"]
        elif sent["type"] == "websocket.send":
            self.received.append(json.loads(sent["text"]))

    @property
    def parts(self) -> list[tuple[str, str]]:
        return [(m["target"], m["content"]) for m in self.received if "target" in m]


class Stage:
    """A `Live` that looks a thousand times a second, and its browsers."""

    def __init__(self) -> None:
        self.parts = Looked()
        self.access = Access()
        self.live = Live(self.parts, self.access, every=0.001)  # type: ignore[arg-type]
        self.served: list[asyncio.Task[None]] = []

    def browser(self) -> Browser:
        """One that is signed in."""
        self.access.expect(digest("token"))
        session = self.access.sign_in("token")
        assert session
        browser = Browser(session)
        self.served.append(asyncio.ensure_future(self.live.serve(browser.socket())))
        return browser


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait until it holds; `what` says what was waited for."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.001)


def on_stage(play: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        stage = Stage()
        await play(stage)
        for task in stage.served:
            task.cancel()
        await asyncio.gather(*stage.served, return_exceptions=True)

    asyncio.run(run())


def test_a_browser_gets_what_it_does_not_have() -> None:
    current = {name: Fragment(name, "", "new") for name in ("a", "b", "c")}
    assert list(news(current, {"a", "b"}, {"a": "new", "b": "old"})) == ["b"]
    assert list(news(current, {"a", "b"}, {})) == ["a", "b"]


def test_the_time_comes_first_then_what_changes() -> None:
    async def play(stage: Stage) -> None:
        browser = stage.browser()
        browser.say("a", "unknown")
        await until(lambda: browser.parts, "the part is sent")
        assert browser.received[0] == {"now": 1500}
        stage.parts.html["a"] = "two"
        stage.parts.html["b"] = "two"
        await until(lambda: len(browser.parts) == 2, "the change is sent")
        assert browser.parts == [("#part-a", "one"), ("#part-a", "two")]

    on_stage(play)


def test_nobody_looks_no_look() -> None:
    async def play(stage: Stage) -> None:
        first, second = stage.browser(), stage.browser()
        await asyncio.sleep(0)
        assert not stage.live.looking
        first.say("a")
        second.say("b")
        await until(lambda: first.parts and second.parts, "both are sent their parts")
        assert stage.parts.looks[-1] == {"a", "b"}
        first.leave()
        await until(lambda: stage.parts.looks[-1] == {"b"}, "what nobody sees is not looked at")
        second.leave()
        await until(lambda: not stage.live.looking, "nobody looks")
        looks = len(stage.parts.looks)
        stage.parts.html["a"] = "later"
        third = stage.browser()
        third.say("a")
        await until(lambda: third.parts, "the next one is sent its part")
        assert third.parts == [("#part-a", "later")]
        assert len(stage.parts.looks) > looks

    on_stage(play)


def test_what_waits_for_a_slow_browser_is_the_newest_only() -> None:
    async def play(stage: Stage) -> None:
        browser = stage.browser()
        browser.say("a")
        await until(lambda: browser.parts, "the part is sent")
        browser.reads.clear()
        for number in range(100):
            stage.parts.html["a"] = str(number)
            looks = len(stage.parts.looks)
            await until(lambda seen=looks: len(stage.parts.looks) > seen + 1, "it was looked at")  # type: ignore[misc]
        browser.reads.set()
        await until(lambda: browser.parts[-1][1] == "99", "the newest is sent")
        assert len(browser.parts) <= 3  # one was on its way

    on_stage(play)


def test_a_browser_that_reads_nothing_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEND_SECONDS", 0.01)

    async def play(stage: Stage) -> None:
        browser = stage.browser()
        browser.say("a")
        await until(lambda: browser.parts, "the part is sent")
        browser.reads.clear()
        stage.parts.html["a"] = "two"
        await until(stage.served[0].done, "it is dropped")
        await until(lambda: not stage.live.looking, "nobody looks")

    on_stage(play)


def test_the_end_of_the_session_closes_the_socket() -> None:
    async def play(stage: Stage) -> None:
        browser = stage.browser()
        browser.say("a")
        await until(lambda: browser.parts, "the part is sent")
        stage.access.sign_out(browser.session)
        await until(stage.served[0].done, "it is served no more")
        assert browser.closed == SIGNED_OUT

    on_stage(play)


def test_a_look_that_fails_is_followed_by_others(caplog: pytest.LogCaptureFixture) -> None:
    async def play(stage: Stage) -> None:
        html, stage.parts.html = stage.parts.html, {}
        browser = stage.browser()
        browser.say("a")
        await until(lambda: len(stage.parts.looks) > 2, "looks go on")
        stage.parts.html = html
        await until(lambda: browser.parts, "the part is sent")

    on_stage(play)
    assert "can't show what has changed" in caplog.text


def test_a_browser_that_hears_nothing_is_sent_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.01)

    async def play(stage: Stage) -> None:
        browser = stage.browser()
        browser.say("a")
        times = lambda: [each for each in browser.received if "now" in each]  # noqa: E731
        await until(lambda: len(times()) >= 3, "the time is sent again")

    on_stage(play)


def test_only_so_many_browsers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(stage: Stage) -> None:
        strangers = [stage.browser() for _ in range(MAX_STRANGERS + 1)]
        await until(lambda: strangers[-1].closed, "it is sent away")
        assert strangers[-1].closed == TRY_AGAIN
        for each in strangers:
            each.say("a")
        await until(lambda: all(each.parts for each in strangers[:-1]), "the others are served")
        for _ in range(MAX_BROWSERS - MAX_STRANGERS):
            stage.browser().say("a")
            await asyncio.sleep(0)
        last = stage.browser()
        last.say("a")
        await until(lambda: last.closed, "it is sent away")
        assert last.closed == TRY_AGAIN

    on_stage(play)


def test_one_that_does_not_say_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HELLO_SECONDS", 0.01)

    async def play(stage: Stage) -> None:
        browser = stage.browser()
        await until(stage.served[0].done, "it is sent away")
        assert browser.closed == TRY_AGAIN

    on_stage(play)


@pytest.fixture
def someone(dashboard: Served) -> Iterator[httpx.Client]:
    """A browser that is signed in."""
    with dashboard.signed_in() as client:
        yield client


def test_a_change_is_seen_soon(
    dashboard: Served, someone: httpx.Client, upstream: SandboxServer
) -> None:
    upstream.script("a", Reply(stall_after=2))
    with WebSocket(someone) as socket:
        assert "Nothing is running" in socket.hello(NOW, "pool", "recent-requests").part(NOW)
        with connect(dashboard.proxy) as client:
            client.sendall(raw_request(x_claude_code_session_id="s1"))
            client.recv(1)
            began = time.monotonic()
            while "streaming" not in socket.part(NOW):
                pass
            assert time.monotonic() - began < SOON
        began = time.monotonic()
        assert "cancelled" in socket.part("recent-requests")
        assert time.monotonic() - began < SOON


def test_what_a_browser_has_is_not_sent_again(someone: httpx.Client) -> None:
    part = someone.get("/parts/recent-requests")
    mark = part.text.partition('data-digest="')[2][:16]
    assert abs(float(part.headers["x-neurolink-now"]) / 1000 - time.time()) < LIMIT
    have = {"x-neurolink-have": mark}
    assert someone.get("/parts/recent-requests", headers=have).status_code == 204
    with WebSocket(someone) as socket:
        socket.hello(have={"recent-requests": mark, NOW: "old"})
        assert "now" in socket.receive()
        assert socket.receive()["target"] == f"#part-{NOW}"
        with pytest.raises(TimeoutError):
            socket.receive(0.5)


def test_a_socket_without_a_session(dashboard: Served, someone: httpx.Client) -> None:
    with WebSocket(someone) as socket:
        socket.key = "x" * 43
        assert socket.hello(NOW).closed() == SIGNED_OUT
    with dashboard.client() as stranger, WebSocket(stranger) as socket:
        socket.key = someone.headers["x-neurolink-key"]
        assert socket.hello(NOW).closed() == SIGNED_OUT


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("", NOT_ASKED), ("hello", NOT_ASKED), ("[]", NOT_ASKED), ('{"key": 1}', NOT_ASKED), ("[" * 60_000, NOT_ASKED),
        ('{"key": "\\ud800", "parts": {}}', NOT_ASKED), (b"\x00\xff", NOT_ASKED), ("x" * 70_000, TOO_BIG),
    ],
    ids=["nothing", "text", "a list", "a number", "deep", "a lone surrogate", "bytes", "too big"],
)  # fmt: skip
def test_garbage(someone: httpx.Client, said: str | bytes, code: int) -> None:
    with WebSocket(someone) as socket:
        socket.send(said)
        assert socket.closed() == code


def test_more_than_the_first_message_is_not_asked_for(someone: httpx.Client) -> None:
    with WebSocket(someone) as socket:
        socket.hello(NOW).part(NOW)
        socket.ping()
        socket.send("{}")
        assert socket.closed() == NOT_ASKED


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_a_page_of_another_origin(someone: httpx.Client, origin: str) -> None:
    with pytest.raises(Ended, match="403"):
        WebSocket(someone, origin=origin)


def test_twenty_browsers(dashboard: Served, someone: httpx.Client) -> None:
    """All are sent a change; the proxy is looked at once for all of them."""
    site = dashboard.site
    looked, in_flight = [], site.in_flight

    def counted() -> Any:
        looked.append(1)
        return in_flight()

    site.in_flight = counted  # type: ignore[method-assign]
    with ExitStack() as stack:
        sockets = [stack.enter_context(WebSocket(someone)) for _ in range(20)]
        for socket in sockets:
            socket.hello(NOW, "recent-requests").part("recent-requests")
        began, before = time.monotonic(), len(looked)
        httpx.post(f"{dashboard.proxy.url}/v1/messages", json=message(), timeout=LIMIT)
        for socket in sockets:
            assert "complete" in socket.part("recent-requests")
        assert len(looked) - before <= (time.monotonic() - began) / 0.2 + 2


def anything(socket: WebSocket) -> str | None:
    """The next update that comes soon."""
    try:
        return socket.part("recent-requests", SOON)
    except TimeoutError:
        return None


def test_ten_thousand_changes_a_second(dashboard: Served, someone: httpx.Client) -> None:
    """They are five updates a second at most, and the last one is sent."""
    recent = dashboard.proxy.runtime.recent
    httpx.post(f"{dashboard.proxy.url}/v1/messages", json=message(), timeout=LIMIT)
    [row] = dashboard.proxy.rows.wait()
    with WebSocket(someone) as socket:
        socket.hello("recent-requests").part("recent-requests")
        began = time.monotonic()
        changing = threading.Thread(target=lambda: [recent.add(row) for _ in range(10_000)])
        changing.start()
        wait_until(lambda: not changing.is_alive(), "all is changed")
        while len(recent.newest) != socket.part("recent-requests").count("<tr id="):
            pass
        updates = list(iter(lambda: anything(socket), None))
        assert len(updates) <= 5 * (time.monotonic() - began) + 1
