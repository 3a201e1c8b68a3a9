"""Hostile and broken input: a clear 4xx in Anthropic's form or a closed connection, and the proxy lives."""

from __future__ import annotations

import json
import os

import psutil
import pytest

from neurolink_mitm.dataplane import layer as failover_layer
from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows.harness import Proxy, connect, message, raw_request, read_answer, read_to_end

GOOD = message()


def error_of(raw: bytes) -> tuple[int, str]:
    """Status and error type of the first of these raw answers."""
    head, _, body = raw.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    document = json.loads(body[:length])
    assert document["type"] == "error"
    return int(head.split()[1]), document["error"]["type"]


def still_serves(proxy: Proxy) -> bool:
    with connect(proxy) as connection:
        connection.sendall(raw_request())
        return read_answer(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"model":"claude-x","messages":[' + b"[" * 200_000,
        json.dumps(GOOD | {"stream": "yes"}).encode(),
        json.dumps(GOOD | {"messages": "hi"}).encode(),
        json.dumps(GOOD | {"model": 7}).encode(),
        json.dumps({"model": "claude-x"}).encode(),
        json.dumps({"messages": []}).encode(),
        json.dumps(GOOD | {"tools": {"a": 1}}).encode(),
    ],
    ids=["empty", "text", "list", "binary", "deep", "deep inside", "stream", "messages", "model",
         "no messages", "no model", "tools"],
)  # fmt: skip
def test_bad_body(proxy: Proxy, sandbox: SandboxServer, body: bytes) -> None:
    with connect(proxy) as connection:
        connection.sendall(raw_request(body))
        assert error_of(read_answer(connection)) == (400, "invalid_request_error")
        connection.sendall(raw_request())  # the connection is still good
        assert read_answer(connection).startswith(b"HTTP/1.1 200")
    assert len(sandbox.requests) == 1


def test_unknown_model(proxy: Proxy, sandbox: SandboxServer) -> None:
    with connect(proxy) as connection:
        connection.sendall(raw_request(json.dumps(GOOD | {"model": "gpt-9"}).encode()))
        answer = read_answer(connection)
    assert error_of(answer) == (404, "not_found_error")
    assert b"claude-sonnet-4-6" in answer
    assert not sandbox.requests


@pytest.mark.parametrize(
    "sent",
    [
        b"NONSENSE\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: ten\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
        b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n"
        b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=["nonsense", "length in words", "negative length", "two lengths", "length and chunks",
         "connect", "http2 preface"],
)  # fmt: skip
def test_bad_head(proxy: Proxy, sandbox: SandboxServer, sent: bytes) -> None:
    with connect(proxy) as connection:
        connection.sendall(sent)
        raw = read_to_end(connection)
    assert not raw or 400 <= error_of(raw)[0] < 500
    assert not sandbox.requests
    assert still_serves(proxy)


@pytest.mark.parametrize(
    "head",
    [b"x-a: " + b"a" * 70_000, b"".join(b"x-%d: 1\r\n" % n for n in range(8000))],
    ids=["one long field", "many fields"],
)
def test_header_flood(proxy: Proxy, head: bytes) -> None:
    with connect(proxy) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n" + head)
        assert error_of(read_to_end(connection))[0] == 431
    assert still_serves(proxy)


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
def test_body_of_100_mb(proxy: Proxy, sandbox: SandboxServer, announced: bool) -> None:
    """Refused with 413, read to its end so that the client sees the answer, and not kept."""
    process = psutil.Process(os.getpid())
    piece, count = b" " * 1024 * 1024, 100
    head = "content-length: 104857600" if announced else "transfer-encoding: chunked"
    before = process.memory_info().rss
    with connect(proxy) as connection:
        connection.sendall(
            f"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\n{head}\r\n\r\n".encode()
        )
        for _ in range(count):
            connection.sendall(piece if announced else b"100000\r\n" + piece + b"\r\n")
        connection.sendall(b"" if announced else b"0\r\n\r\n")
        assert error_of(read_to_end(connection)) == (413, "request_too_large")
    assert proxy.rows.wait()[0].responseStatus == 413
    assert process.memory_info().rss - before < 90 * 1024 * 1024
    assert not sandbox.requests
    assert still_serves(proxy)


def test_half_a_request(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover_layer, "CLIENT_PATIENCE", 0.2)
    with connect(proxy) as connection:
        connection.sendall(raw_request()[:-20])
        assert error_of(read_to_end(connection)) == (408, "timeout_error")
    with connect(proxy) as connection:
        connection.sendall(b"POST /v1/messages HTT")
        assert error_of(read_to_end(connection)) == (408, "timeout_error")
    assert still_serves(proxy)


def test_pipelining(proxy: Proxy, sandbox: SandboxServer) -> None:
    """Two requests at once are answered one after the other, in order."""
    second = json.dumps(GOOD | {"stream": False}).encode()
    with connect(proxy) as connection:
        connection.sendall(raw_request() + raw_request(second, connection="close"))
        raw = read_to_end(connection)
    first, _, rest = raw.partition(b"0\r\n\r\n")
    assert b"text/event-stream" in first
    assert rest.startswith(b"HTTP/1.1 200")
    assert b"application/json" in rest
    assert len(sandbox.requests) == 2


def test_pipelined_flood_is_hung_up_on(proxy: Proxy, sandbox: SandboxServer) -> None:
    from neurolink_mitm.sandbox import Reply

    sandbox.script("a", Reply(stall_after=0))
    with connect(proxy) as connection:
        connection.sendall(raw_request())
        try:
            for _ in range(400):
                connection.sendall(b"x" * 10_000)
            read_to_end(connection)
        except ConnectionError:
            pass  # hung up on while it was still sending
    sandbox.wait_for(lambda requests: requests[-1].disconnected)
    sandbox.script("a", Reply())
    assert still_serves(proxy)


def test_http_1_0(proxy: Proxy) -> None:
    """A client that knows no chunks gets the plain body, ended by the end of the connection."""
    with connect(proxy) as connection:
        connection.sendall(raw_request().replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        raw = read_to_end(connection)
    head, _, body = raw.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert body.startswith(b"event: message_start")
    assert body.endswith(b'{"type":"message_stop"}\n\n')
