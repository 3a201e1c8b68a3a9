"""What a client may take of the dashboard: a port scanner, a browser that reads nothing, many at once."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from neurolink_mitm.dashboard.web import wire
from neurolink_mitm.dashboard.web.live import NOT_ASKED
from tests.dashboard.harness import KEY_HEADER, Served, served
from tests.dashboard.raw import HANDSHAKE, connect, parsed
from tests.dashboard.websocket import WebSocket
from tests.flows.harness import Proxy, read_to_end
from tests.waiting import wait_until

SOON = 0.2
"""Stands for every limit of this file."""


@pytest.fixture
def dashboard(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    with served(Proxy([]), tmp_path_factory.mktemp("wire")) as running:
        with running.client() as client:
            assert client.get("/").status_code == 200  # it has been imported
        monkeypatch.setattr(wire, "REQUEST_SECONDS", SOON)
        monkeypatch.setattr(wire, "UNREAD_SECONDS", SOON)
        monkeypatch.setattr(wire, "CLOSE_SECONDS", SOON)
        yield running


def sent_and_read(dashboard: Served, sent: bytes, *, ends: bool = False) -> bytes:
    """What comes back until the end; nothing of a connection that is reset."""
    with connect(dashboard) as connection, suppress(ConnectionResetError, BrokenPipeError):
        connection.sendall(sent)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        return read_to_end(connection)
    return b""


BROKEN = {
    "nothing": b"",
    "half a head": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    "half a body": b"POST /signin HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nOrigin: http://127.0.0.1:PORT\r\n"
    b"Content-Length: 5\r\n\r\n{",
}


def test_a_request_that_does_not_become_whole_is_dropped(dashboard: Served) -> None:
    port = str(urlsplit(dashboard.url).port).encode()
    ends = {
        name: sent_and_read(dashboard, sent.replace(b"PORT", port)) for name, sent in BROKEN.items()
    }
    assert ends == dict.fromkeys(BROKEN, b"")


def test_a_websocket_stays(dashboard: Served) -> None:
    with dashboard.signed_in() as client, WebSocket(client).hello() as socket:
        assert "now" in socket.receive()
        with pytest.raises(TimeoutError):
            socket.receive(3 * SOON)


def test_a_websocket_whose_close_is_not_answered_is_cut(dashboard: Served) -> None:
    with dashboard.signed_in() as client, WebSocket(client) as socket:
        socket.send("no hello")
        assert socket.closed() == NOT_ASKED
        socket.socket.settimeout(5 * SOON)
        assert read_to_end(socket.socket) == b""


@pytest.mark.parametrize("frame", [b"\x89", b"\x8a", b"\x01"], ids=["ping", "pong", "fragment"])
def test_a_websocket_that_is_flooded_is_dropped(
    dashboard: Served, caplog: pytest.LogCaptureFixture, frame: bytes
) -> None:
    """At once, not when the bytes that are not read have become too many."""
    with dashboard.signed_in() as client, WebSocket(client).hello("pool") as socket:
        socket.part("pool")
        rest = b"\x00\x80" if frame == b"\x01" else frame + b"\x80"
        socket.socket.settimeout(2 * SOON)
        with suppress(BrokenPipeError, ConnectionResetError):
            socket.socket.sendall(frame + b"\x80" + bytes(4) + 100_000 * (rest + bytes(4)))
            read_to_end(socket.socket)
        assert is_reset(socket.socket)
        began = time.monotonic()
        assert client.get("/").status_code == 200
        assert time.monotonic() - began < SOON
    assert caplog.records == []


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"SSH-2.0-scanner\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000,
        b"GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + b"\x00garbage\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    ],
    ids=["tls", "ssh", "large-head", "version", "bytes", "garbage-after", "h2c"],
)  # fmt: skip
def test_garbage_hurts_nobody(
    dashboard: Served, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    sent_and_read(dashboard, sent, ends=True)
    with dashboard.client() as client:
        assert client.get("/").status_code == 200
    assert caplog.records == []


def test_a_body_does_not_wait_for_the_acknowledgement_of_its_head(dashboard: Served) -> None:
    with dashboard.client() as client:
        for _ in range(20):  # a new connection's are acknowledged at once
            client.get("/signin")
        assert min(client.get("/signin").elapsed.total_seconds() for _ in range(10)) < 0.03


def deaf(dashboard: Served) -> socket.socket:
    """A client that asks until all buffers are full of answers, and reads none of them."""
    place = urlsplit(dashboard.url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((place.hostname, place.port))
    connection.setblocking(False)
    request = b"GET /static/uplot.min.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with suppress(BlockingIOError):
        while True:
            connection.send(request * 1000)
    return connection


def test_who_does_not_read_is_dropped(dashboard: Served) -> None:
    with deaf(dashboard) as connection:
        wait_until(lambda: is_reset(connection), "the connection has ended")


def is_reset(connection: socket.socket) -> bool:
    try:
        connection.send(b"x")
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False


def test_only_so_many_are_connected(dashboard: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "REQUEST_SECONDS", 60)
    monkeypatch.setattr(wire, "MAX_CONNECTIONS", 3)
    held = [connect(dashboard) for _ in range(3)]
    request = b"GET /signin HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    assert sent_and_read(dashboard, request) == b""
    held.pop().close()
    assert parsed(sent_and_read(dashboard, request)).status == 200
    for each in held:
        each.close()


def open_live(dashboard: Served) -> socket.socket:
    """A WebSocket that has shaken hands and reads nothing more."""
    with dashboard.signed_in() as client:
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        fields = {
            "Host": urlsplit(dashboard.url).netloc,
            "Origin": dashboard.url,
            "Cookie": cookies,
            **HANDSHAKE,
        }
        key = client.headers[KEY_HEADER]
    connection = connect(dashboard)
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    connection.sendall(f"GET /live HTTP/1.1\r\n{lines}\r\n".encode())
    assert connection.recv(12) == b"HTTP/1.1 101"
    hello = b'{"key": "%s", "parts": ["pool"]}' % key.encode()
    connection.sendall(bytes((0x81, 0x80 | len(hello))) + bytes(4) + hello)
    return connection


def test_it_stops_whatever_its_clients_do(
    dashboard: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In time, too; and no socket and no thread is left, which the warnings of Python would tell."""
    monkeypatch.setattr(wire, "UNREAD_SECONDS", 60)
    monkeypatch.setattr(wire, "REQUEST_SECONDS", 60)
    stuck = deaf(dashboard)
    idle, live = connect(dashboard), open_live(dashboard)
    dashboard.proxy.loop.call_soon_threadsafe(dashboard.proxy.master.shutdown)
    live.settimeout(wire.GRACE * 3)
    read_to_end(live)
    idle.settimeout(wire.GRACE * 3)
    with suppress(ConnectionResetError):
        assert read_to_end(idle) == b""
    for each in (idle, live, stuck):
        each.close()


@pytest.mark.parametrize(("limit", "most"), [(65_536, 128), (256, 24), (100, 8), (1, 8)], ids=str)
def test_descriptors_are_left_for_flows(
    monkeypatch: pytest.MonkeyPatch, limit: int, most: int
) -> None:
    monkeypatch.setattr(wire, "raise_limit", lambda: limit)
    assert wire.most_connections() == most


def test_a_want_of_descriptors_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """A scanner could cause thousands of tracebacks a second."""
    loop = asyncio.new_event_loop()
    short = OSError(errno.EMFILE, "Too many open files")
    wire.on_error(loop, {"message": "socket.accept() out of system resource", "exception": short})
    assert caplog.records == []
    wire.on_error(loop, {"message": "odd", "exception": ValueError("x-api-key: sk-ant-api03-ours")})
    loop.close()
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("odd: ValueError(")
    assert "ours" not in line
