"""What callers without a key, and too many of any, can take of the proxy: little."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Clients, Config
from neurolink_mitm.dataplane import layer as failover_layer
from neurolink_mitm.dataplane.client import TLS_ALERT, Phase
from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows.harness import (
    LIMIT,
    Proxy,
    account,
    connect,
    raw_request,
    read_answer,
    read_to_end,
)
from tests.flows.test_bad_input import error_of, still_serves
from tests.waiting import wait_until

MB = 1024 * 1024
KEYED = Config(clients=Clients((Secret("client-one"),)))


@pytest.fixture
def keyed(sandbox: SandboxServer) -> Iterator[Proxy]:
    """A proxy that asks for a client key."""
    with Proxy([account("a", sandbox.url)], KEYED) as running:
        yield running


def answered(proxy: Proxy, sent: bytes) -> bytes:
    """All that comes where nothing more is sent."""
    with connect(proxy) as connection:
        connection.sendall(sent)
        return read_to_end(connection)


def status(proxy: Proxy, sent: bytes) -> int:
    with connect(proxy) as connection:
        connection.sendall(sent)
        return int(read_answer(connection).split()[1])


# --- judged by the head


@pytest.mark.parametrize(
    "framing",
    ["content-length: 65011712", "transfer-encoding: chunked",
     "content-length: 65011712\r\nexpect: 100-continue",
     "transfer-encoding: chunked\r\nexpect: 100-continue", "content-length: 10\r\nexpect: 100-continue"],
    ids=["length", "chunked", "length-expect", "chunked-expect", "small-expect"],
)  # fmt: skip
def test_a_stranger_is_refused_before_the_body(keyed: Proxy, framing: str) -> None:
    head = f"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n\r\n".encode()
    assert error_of(answered(keyed, head)) == (401, "authentication_error")
    assert keyed.rows.wait()[0].responseStatus == 401


def test_bodies_of_strangers_are_not_kept(keyed: Proxy, sandbox: SandboxServer) -> None:
    process, piece = psutil.Process(os.getpid()), b" " * MB
    before = process.memory_info().rss
    head = b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: 33554432\r\n\r\n"
    with ExitStack() as stack:
        strangers = [stack.enter_context(connect(keyed)) for _ in range(8)]
        for stranger in strangers:
            stranger.sendall(head)
        for _ in range(32):
            for stranger in strangers:
                stranger.sendall(piece)
        grown = process.memory_info().rss - before
        for stranger in strangers:
            stranger.shutdown(socket.SHUT_WR)
            assert error_of(read_to_end(stranger))[0] == 401
    assert grown < 60 * MB
    assert not sandbox.requests


def test_a_small_refused_body_leaves_the_connection_good(keyed: Proxy) -> None:
    with connect(keyed) as connection:
        for _ in range(3):
            connection.sendall(raw_request())
            assert error_of(read_answer(connection))[0] == 401
        connection.sendall(raw_request(x_api_key="client-one"))
        assert read_answer(connection).startswith(b"HTTP/1.1 200")


def test_who_may_come_in_is_asked_for_the_body(keyed: Proxy) -> None:
    head, _, body = raw_request(x_api_key="client-one", expect="100-continue").partition(
        b"\r\n\r\n"
    )
    with connect(keyed) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert read_answer(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [("POST", "/health", 401), ("DELETE", "/admin/reset", 401), ("GET", "/health", 200)],
)
def test_what_is_open_is_so_by_method_and_path(
    keyed: Proxy, sandbox: SandboxServer, method: str, path: str, expected: int
) -> None:
    sent = raw_request(b"", path, method, authorization="Bearer sk-ant-test-mine")
    assert status(keyed, sent) == expected
    assert not sandbox.requests


@pytest.mark.parametrize(("method", "path"), [("POST", "/health"), ("DELETE", "/admin/reset")])
def test_a_path_of_our_own_is_never_forwarded(
    proxy: Proxy, sandbox: SandboxServer, method: str, path: str
) -> None:
    sent = raw_request(b"", path, method, authorization="Bearer sk-ant-test-mine")
    assert status(proxy, sent) == 405
    assert not sandbox.requests


def test_large_bodies_have_room_for_some_only(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neurolink_mitm.dataplane import body_memory

    monkeypatch.setattr(body_memory, "LIMIT", 8 * MB)
    head = b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: 6291456\r\n\r\n"
    with connect(proxy) as first, connect(proxy) as second:
        first.sendall(head + b" " * 5 * MB)
        wait_until(lambda: proxy.plane.held == 5 * MB, "5 MB of the first body")
        second.sendall(head + b" " * 5 * MB)
        assert error_of(read_answer(second)) == (529, "overloaded_error")
        assert still_serves(proxy)
        first.sendall(b" " * MB)
        assert error_of(read_answer(first))[0] == 400
    with connect(proxy) as third:
        third.sendall(head + b" " * 6 * MB)
        assert error_of(read_answer(third))[0] == 400


# --- doubled fields, and pages


@pytest.mark.parametrize(
    ("field", "expected"),
    [("host: localhost", 400), ("origin: http://a\r\norigin: http://b", 400),
     ("sec-fetch-site: cross-site", 403), ("sec-fetch-site: same-site", 403),
     ("sec-fetch-site: none", 200)],
    ids=["two-hosts", "two-origins", "cross-site", "same-site", "by-hand"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/health", "/status"])
def test_who_may_ask(proxy: Proxy, path: str, field: str, expected: int) -> None:
    sent = f"GET {path} HTTP/1.1\r\nhost: localhost\r\n{field}\r\n\r\n".encode()
    assert status(proxy, sent) == expected


# --- HEAD


@pytest.mark.parametrize(
    ("field", "expected"), [("x: 1", 401), ("origin: http://evil.example", 403)]
)
def test_a_refused_head_has_no_body(keyed: Proxy, field: str, expected: int) -> None:
    """And the next answer on the connection can be read."""
    head = f"HEAD /v1/models HTTP/1.1\r\nhost: localhost\r\n{field}\r\n\r\n".encode()
    with connect(keyed) as connection:
        connection.sendall(head + raw_request(x_api_key="client-one"))
        connection.settimeout(LIMIT)
        received = b""
        while received.count(b"\r\n\r\n") < 2:
            received += connection.recv(65536)
    first, _, second = received.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 %d" % expected)
    assert second.startswith(b"HTTP/1.1 200")


def test_a_head_of_nothing_has_no_body(proxy: Proxy) -> None:
    sent = b"HEAD /nothing HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    raw = answered(proxy, sent)
    assert raw.startswith(b"HTTP/1.1 404")
    assert raw.endswith(b"\r\n\r\n")


# --- no HTTP, and floods


def test_tls_gets_an_alert_at_once(proxy: Proxy) -> None:
    context = ssl.create_default_context()
    with connect(proxy) as connection, pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        context.wrap_socket(connection, server_hostname="localhost")
    assert answered(proxy, b"\x16\x03\x01") == TLS_ALERT


@pytest.mark.parametrize(
    "sent", [b"SSH-2.0-OpenSSH_9.6\r\n", b"\x05\x01\x00"], ids=["ssh", "socks"]
)
def test_other_protocols_are_refused_at_once(proxy: Proxy, sent: bytes) -> None:
    assert error_of(answered(proxy, sent))[0] == 400


@pytest.mark.parametrize(("count", "expected"), [(1000, 200), (1_000_000, 431)])
def test_empty_lines(proxy: Proxy, count: int, expected: int) -> None:
    with connect(proxy) as connection:
        connection.sendall(b"\r\n" * count + raw_request())
        assert int(read_answer(connection).split()[1]) == expected
    assert still_serves(proxy)


def test_a_crowd_of_requests_sent_ahead(proxy: Proxy) -> None:
    get = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with connect(proxy) as connection:
        connection.sendall(get * 1000 + get.replace(b"\r\nhost", b"\r\nconnection: close\r\nhost"))
        assert read_to_end(connection).count(b"HTTP/1.1 200 ") == 1001


def test_a_client_too_many_is_told_so(proxy: Proxy, sandbox: SandboxServer) -> None:
    """But the guard's question is answered, or it would take Claude Code off."""
    proxy.plane.clients.most = 1
    head = b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n"
    with ExitStack() as stack:
        busy = stack.enter_context(connect(proxy))
        busy.sendall(head)
        wait_until(lambda: proxy.busy, "a request under way")
        late = stack.enter_context(connect(proxy))
        late.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert read_answer(late).startswith(b"HTTP/1.1 200")
        late.sendall(raw_request())
        assert error_of(read_answer(late)) == (529, "overloaded_error")
        busy.sendall(b"x" * 10)
        assert error_of(read_answer(busy))[0] == 400
        busy.close()
        wait_until(lambda: len(proxy.plane.clients) == 1, "one client")
        late.sendall(raw_request())
        assert read_answer(late).startswith(b"HTTP/1.1 200")
    assert len(sandbox.requests) == 1


def test_a_head_has_its_time(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a byte of it comes."""
    monkeypatch.setitem(failover_layer.LONGEST, Phase.HEAD, 0.3)
    with connect(proxy) as connection:
        connection.settimeout(0.02)
        received = b""
        for _ in range(500):
            try:
                connection.sendall(b"G")
                received += connection.recv(65536)
            except TimeoutError:
                continue
            if received:
                break
    assert received.startswith(b"HTTP/1.1 4")
    assert still_serves(proxy)
