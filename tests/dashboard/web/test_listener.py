from __future__ import annotations

import asyncio
import errno
import logging
import socket
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.core.auth.client_keys import digest
from neurolink_mitm.core.settings.dashboard import Dashboard as Settings
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.dashboard.site import Site
from neurolink_mitm.dashboard.web.listener import FAILED, NEXT_PORTS, OFF, Dashboard, bind
from tests.fakes import make_runtime
from tests.flows.harness import LIMIT

SERVER = "neurolink_mitm.dashboard.web.server"


def configured(**settings: Any) -> Config:
    return replace(Config(), dashboard=Settings(**{"port": 0, **settings}))


@pytest.fixture
async def dashboard(tmp_path: Path) -> AsyncIterator[Dashboard]:
    """On any free port; at the end no thread of it is left."""
    made = Dashboard(Site(make_runtime(), Home(tmp_path)))
    made.configure(configured())
    await made.start()
    yield made
    await made.stop()
    assert made.url is None
    assert [t.name for t in threading.enumerate() if t.name == "dashboard"] == []


async def visit(url: str | None) -> int:
    """The status of the first page; 0 where nothing answers."""
    assert url
    async with httpx.AsyncClient(trust_env=False, timeout=LIMIT) as client:
        try:
            return (await client.get(url)).status_code
        except httpx.TransportError:
            return 0


async def test_nothing_is_imported_before_the_first_visit() -> None:
    code = (
        "import sys, neurolink_mitm.app.wiring;"
        "print([m for m in sys.modules if m in ('starlette', 'uvicorn', 'neurolink_mitm.dashboard.web.server')])"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=-1)
    output, _ = await process.communicate()
    assert output.strip() == b"[]"


async def test_it_serves_from_the_first_visit_on(dashboard: Dashboard) -> None:
    assert await visit(dashboard.url) == 200


async def test_a_reload_moves_it_and_ends_its_sessions(dashboard: Dashboard) -> None:
    before = dashboard.url
    assert await visit(before) == 200
    listener = dashboard._listener
    assert listener
    dashboard.configure(configured(host="127.0.0.2"))
    assert dashboard.url is not None
    assert dashboard.url.startswith("http://127.0.0.2:")
    assert dashboard._listener is not None
    assert dashboard._listener.access is not listener.access
    assert await visit(dashboard.url) == 200
    listener._thread.join(LIMIT)  # type: ignore[union-attr]
    assert await visit(before) == 0


async def test_a_reload_turns_it_off_and_on(dashboard: Dashboard) -> None:
    before = dashboard.url
    dashboard.configure(configured(enabled=False))
    assert (dashboard.url, dashboard.fault) == (None, OFF)
    dashboard.expect(digest("nobody hears of it"))
    assert await visit(before) == 0
    dashboard.configure(configured())
    assert await visit(dashboard.url) == 200


async def test_another_reload_changes_nothing(dashboard: Dashboard) -> None:
    before = dashboard.url
    dashboard.configure(configured(read_only=True))
    assert dashboard.url == before


@pytest.fixture
def importing(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Events: the import of the server has begun; it may go on."""
    begun, may_go_on = threading.Event(), threading.Event()

    class Slow(ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name != "Server":
                raise AttributeError(name)
            begun.set()
            assert may_go_on.wait(LIMIT)
            from neurolink_mitm.dashboard.web import wire
            from neurolink_mitm.dashboard.web.guard import Guard

            async def app(scope: Any, receive: Any, send: Any) -> None:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body"})

            class Server:
                def __init__(self, *_: object) -> None:
                    self._server = wire.Server(wire.configured(Guard(app)))
                    self.stop = self._server.exit_soon

                def run(self, bound: socket.socket) -> None:
                    asyncio.run(self._server.serve([bound]))

            return Server

    monkeypatch.setitem(sys.modules, SERVER, Slow(SERVER))
    return begun, may_go_on


async def test_a_stop_during_the_import(
    dashboard: Dashboard, importing: tuple[threading.Event, threading.Event]
) -> None:
    begun, may_go_on = importing
    visiting = asyncio.create_task(visit(dashboard.url))
    assert await asyncio.to_thread(begun.wait, LIMIT)
    stopping = asyncio.create_task(dashboard.stop())
    assert await visiting == 0
    may_go_on.set()
    await stopping


async def test_a_reload_during_the_import(
    dashboard: Dashboard, importing: tuple[threading.Event, threading.Event]
) -> None:
    """The new listener serves, whichever import ends first; the old one never does."""
    begun, may_go_on = importing
    before = dashboard.url
    visiting = asyncio.create_task(visit(before))
    assert await asyncio.to_thread(begun.wait, LIMIT)
    dashboard.configure(configured(host="127.0.0.2"))
    assert await visiting == 0
    after = asyncio.create_task(visit(dashboard.url))
    may_go_on.set()
    assert await after == 200
    assert await visit(before) == 0


async def test_what_can_not_be_imported_is_told_and_the_proxy_goes_on(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, SERVER, ModuleType(SERVER))
    assert await visit(dashboard.url) == 0
    assert (dashboard.url, dashboard.fault) == (None, FAILED)
    [line, *_] = caplog.records[0].getMessage().splitlines()
    assert line == "the dashboard has failed; the proxy goes on without it"
    monkeypatch.undo()
    dashboard.configure(configured())  # the next reload tries again
    assert await visit(dashboard.url) == 200


async def test_a_port_that_is_taken_is_told(
    dashboard: Dashboard, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        dashboard.configure(configured(port=port))
        url = f"http://127.0.0.1:{port}"
        assert dashboard.url not in (None, url)
    warning = f"port {port} is taken: the dashboard is on {dashboard.url}"
    assert [(r.levelno, r.getMessage()) for r in caplog.records] == [(logging.WARNING, warning)]


async def test_where_it_can_not_listen_the_proxy_goes_on(
    dashboard: Dashboard, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name may be of a network that this machine has not, or of one that others reach."""
    everywhere = socket.create_server(("0.0.0.0", 0))  # noqa: S104
    monkeypatch.setattr(socket, "create_server", lambda *_, **__: everywhere)
    dashboard.configure(configured(host="x.localhost"))
    fault = "the dashboard can't listen on x.localhost: x.localhost is no address of loopback here"
    assert (dashboard.url, dashboard.fault) == (None, fault)
    assert everywhere.fileno() == -1
    assert [r.getMessage() for r in caplog.records] == [fault]


TAKEN, ELSEWHERE = OSError(errno.EADDRINUSE, "taken"), OSError(errno.EADDRNOTAVAIL, "elsewhere")


@pytest.mark.parametrize(
    ("port", "errors", "tried"),
    [
        (0, [], [0]),
        (9000, [], [9000]),
        (9000, [TAKEN, TAKEN], [9000, 9001, 9002]),
        (65_535, [TAKEN], [65_535, 0]),
        (9000, [TAKEN] * NEXT_PORTS, [*range(9000, 9000 + NEXT_PORTS), 0]),
    ],
    ids=["any", "free", "next", "last", "none"],
)
def test_the_next_free_port(port: int, errors: list[OSError], tried: list[int]) -> None:
    asked: list[int] = []

    def bind_one(host: str, each: int) -> socket.socket:
        asked.append(each)
        if len(asked) <= len(errors):
            raise errors[len(asked) - 1]
        return socket.socket()

    bind("127.0.0.1", port, bind_one).close()
    assert asked == tried


def test_an_address_that_is_not_here_is_tried_once() -> None:
    def bind_one(host: str, each: int) -> socket.socket:
        assert each == 9000
        raise ELSEWHERE

    with pytest.raises(OSError, match="elsewhere"):
        bind("::1", 9000, bind_one)
