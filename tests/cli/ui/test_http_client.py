from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from neurolink_mitm.cli.ui import http_client

Serve = Callable[[bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server that gives one client these bytes, whatever it asks; it keeps what was asked."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        threads = []

        def answer(data: bytes) -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(data)

        def serve(data: bytes) -> str:
            threads.append(threading.Thread(target=answer, args=(data,)))
            threads[-1].start()
            return f"http://127.0.0.1:{listener.getsockname()[1]}/status"

        yield serve
        for thread in threads:
            thread.join(10)


def answer(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def test_an_object(serve: Serve) -> None:
    assert http_client.get_json(serve(answer(b'{"a": 1}'))) == {"a": 1}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        answer(b""),
        answer(b"<html>"),
        answer(b"\xff"),
        answer(b"[]"),
        answer(b'{"a": 1}', "401 Unauthorized"),
        answer(b'{"a": 1}')[:-1],
    ],
    ids=["nothing", "not-http", "empty", "no-json", "no-text", "no-object", "refused", "cut"],
)
def test_anything_else_is_no_answer(serve: Serve, data: bytes) -> None:
    assert http_client.get_json(serve(data)) is None


def test_nobody_there() -> None:
    assert http_client.get_json("http://127.0.0.1:9/status") is None


def test_a_refusal_has_its_status_and_its_document(serve: Serve) -> None:
    url = serve(answer(b'{"error": {}}', "403 Forbidden"))
    response = http_client.ask(url, {"account": "a"}, {"x-a": "b"}, post=b"")
    assert (response.status, response.document) == (403, {"error": {}})


def test_a_post_to_nobody_says_why() -> None:
    response = http_client.ask("http://127.0.0.1:9/", post=b"")
    assert (response.status, response.document) == (0, {})
    assert "refused" in response.error
