"""Callers over TLS: what they may do, and what becomes of those that don't do it right."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurolink_mitm.adapters.certificate import read_certificate
from neurolink_mitm.core.settings.listen import Listen
from neurolink_mitm.dataplane import caller_tls
from neurolink_mitm.ports import Runtime
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.certificates import make_pair
from tests.flows.harness import (
    LIMIT,
    Proxy,
    account,
    message,
    raw_request,
    read_answer,
    read_to_end,
)
from tests.flows.test_stop import body_of
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    make_pair(folder)
    make_pair(folder, "other")
    return folder


def use(folder: Path, name: str, runtime: Runtime) -> None:
    listen = Listen(cert=f"{name}.crt", key=f"{name}.key")
    runtime.certificate = read_certificate(listen, folder, time.time())


@pytest.fixture
def proxy(
    folder: Path, sandbox: SandboxServer, caplog: pytest.LogCaptureFixture
) -> Iterator[Proxy]:
    change = lambda runtime: use(folder, "tls", runtime)  # noqa: E731
    with Proxy([account("a", sandbox.url)], change=change, drain=LIMIT) as proxy:
        yield proxy
    assert [r for r in caplog.records if r.exc_info or "crashed" in r.getMessage()] == []


def plain(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.runtime.port), timeout=LIMIT)


def secure(proxy: Proxy, folder: Path, name: str = "tls", alpn: str = "http/1.1") -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(folder / f"{name}.crt"))
    context.set_alpn_protocols([alpn])
    return context.wrap_socket(plain(proxy), server_hostname="localhost")


def test_streams_on_a_connection_that_stays_open(
    proxy: Proxy, folder: Path, sandbox: SandboxServer
) -> None:
    with secure(proxy, folder) as client:
        assert client.version() == "TLSv1.3"
        assert client.selected_alpn_protocol() == "http/1.1"
        for n in range(3):
            client.sendall(raw_request())
            assert body_of(read_answer(client)) == sandbox.requests[n].answer
    assert [row.outcome for row in proxy.rows.wait(3)] == ["complete"] * 3


def test_a_large_body_and_a_large_answer(
    proxy: Proxy, folder: Path, sandbox: SandboxServer
) -> None:
    sandbox.script("a", Reply(events=3000))
    body = json.dumps(message(system="x" * 3_000_000)).encode()
    with secure(proxy, folder) as client:
        client.sendall(raw_request(body))
        assert body_of(read_answer(client)) == sandbox.requests[0].answer


@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", b"garbage\r\n\r\n", b"\x80\x2e\x01", b"\n"],
    ids=["http", "garbage", "ssl2", "line"],
)
def test_who_speaks_no_tls_is_told_so_at_once(proxy: Proxy, sent: bytes) -> None:
    with plain(proxy) as client:
        client.sendall(sent)
        answer = read_to_end(client)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"this port speaks HTTPS" in answer


def test_a_broken_handshake_is_ended(proxy: Proxy) -> None:
    with plain(proxy) as client:
        client.sendall(b"\x16\x03\x01" + b"garbage" * 9)
        client.settimeout(LIMIT)
        read_to_end(client)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["silence", "half"])
def test_a_handshake_has_its_time(
    proxy: Proxy, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller_tls, "HANDSHAKE", 0.2)
    with plain(proxy) as client:
        client.sendall(sent)
        assert read_to_end(client) == b""
    wait_until(lambda: len(proxy.plane.clients) == 0, "nobody is left")


@pytest.mark.parametrize("sent", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"])
@pytest.mark.parametrize("linger", [False, True], ids=["leaves", "resets"])
def test_who_goes_away_in_the_handshake(proxy: Proxy, sent: bytes, *, linger: bool) -> None:
    client = plain(proxy)
    if linger:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    client.sendall(sent)
    wait_until(lambda: len(proxy.plane.clients) == 1, "it is connected")
    client.close()
    wait_until(lambda: len(proxy.plane.clients) == 0, "nobody is left")


def test_who_leaves_with_its_request_on_the_way(
    proxy: Proxy, folder: Path, sandbox: SandboxServer
) -> None:
    """Its bytes and its end come together with the end of the handshake."""
    for _ in range(9):
        with secure(proxy, folder) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
    sandbox.script("a", Reply(stall_after=4))
    with secure(proxy, folder) as client:
        client.sendall(raw_request())
        sandbox.wait_for(lambda requests: len(requests) == 1)
    sandbox.wait_for(lambda requests: requests[0].disconnected)
    [row] = proxy.rows.wait()
    assert row.outcome == "client_cancelled"


def test_a_refusal_is_read_before_the_end(proxy: Proxy, folder: Path) -> None:
    head = b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999\r\n\r\n"
    with secure(proxy, folder) as client:
        client.sendall(head + b"x" * 200_000)
        assert read_to_end(client).startswith(b"HTTP/1.1 413 ")


def test_a_change_is_for_new_connections(
    proxy: Proxy, folder: Path, sandbox: SandboxServer
) -> None:
    with secure(proxy, folder) as before:
        use(folder, "other", proxy.runtime)
        with secure(proxy, folder, "other") as after:
            proxy.runtime.certificate = None
            with plain(proxy) as clear:
                for client in (before, after, clear):
                    client.sendall(raw_request())
                    assert read_answer(client).startswith(b"HTTP/1.1 200 ")


def test_a_protocol_that_is_not_spoken_is_not_agreed_on(proxy: Proxy, folder: Path) -> None:
    with secure(proxy, folder, alpn="h2") as client:
        assert client.selected_alpn_protocol() is None


def test_a_stream_is_finished_when_the_proxy_stops(
    proxy: Proxy, folder: Path, sandbox: SandboxServer
) -> None:
    sandbox.script("a", Reply(event_delay=0.05, events=9))
    with secure(proxy, folder) as client, secure(proxy, folder) as idle, plain(proxy) as silent:
        client.sendall(raw_request())
        sandbox.wait_for(lambda requests: len(requests) == 1)
        proxy.loop.call_soon_threadsafe(proxy.master.shutdown)
        assert body_of(read_to_end(client)) == sandbox.requests[0].answer
        assert read_to_end(idle) == b""
        assert read_to_end(silent) == b""
