from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

import pytest

from neurolink_mitm.claude_code.status_line import ask, read_json
from tests.adapters.tls_server import make_certificate, tls_server


@contextmanager
def answering(*parts: bytes, pause: float = 0.0) -> Iterator[tuple[dict[str, object], list[bytes]]]:
    """A server for one request: what it is asked, and the state file that leads to it."""
    asked: list[bytes] = []
    over = threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):  # who asks may have left
            asked.append(connection.recv(65536))
            for part in parts:
                connection.sendall(part)
                over.wait(pause)
            if not parts:
                over.wait(20)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        state = {"host": "0.0.0.0", "port": listening.getsockname()[1], "adminToken": "t0"}  # noqa: S104
        yield state, asked
        over.set()
        thread.join(20)


def test_the_report() -> None:
    with answering(b"HTTP/1.1 200 OK\r\na: b\r\n\r\n", b'{"status":', b'"running"}') as (
        state,
        asked,
    ):
        assert ask(state, 20) == {"status": "running"}
    assert b"x-neurolink-admin: t0\r\n" in asked[0]


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 401 x\r\n\r\n{}", b"HTTP/1.1 200 OK\r\n\r\n{", b""],
    ids=["401", "half", "empty"],
)
def test_what_is_no_report(answer: bytes) -> None:
    with answering(answer) as (state, _):
        assert ask(state, 20) is None


@pytest.mark.parametrize("own", [True, False], ids=["ours", "another's"])
def test_a_proxy_with_a_certificate_is_asked_over_tls(tmp_path: Path, own: bool) -> None:
    path = make_certificate(tmp_path)
    der = ssl.PEM_cert_to_DER_cert(path.read_text().partition("-----BEGIN PRIVATE")[0])
    fingerprint = sha256(der).hexdigest() if own else "0" * 64
    received = bytearray()
    with tls_server(path, received) as port:
        state = {"host": "127.0.0.1", "port": port, "adminToken": "t0"}
        assert ask(state | {"tls": {"fingerprint": fingerprint}}, 20) is None
    assert received.startswith(b"GET /status?") is own


def test_silence_ends_at_the_limit() -> None:
    with answering() as (state, _):
        began = time.monotonic()
        assert ask(state, 0.05) is None
        assert time.monotonic() - began < 10


def test_so_does_an_answer_drop_by_drop() -> None:
    with answering(*[b"x"] * 1000, pause=0.02) as (state, _):
        began = time.monotonic()
        assert ask(state, 0.1) is None
        assert time.monotonic() - began < 10


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        ask({"host": "127.0.0.1", "port": port}, 1)


@pytest.mark.parametrize("state", [{"port": "x"}, {"host": 1, "port": 1}], ids=str)
def test_a_state_that_makes_no_sense(state: dict[str, object]) -> None:
    assert ask(state, 1) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00"], ids=repr)
def test_files_that_hold_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file"
    assert read_json(path) == {}
    path.write_text(text)
    assert read_json(path) == {}
