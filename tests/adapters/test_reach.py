"""How far one gets with a base URL; each end is a real one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurolink_mitm.adapters.reach import reach
from tests.adapters.tls_server import make_certificate, tls_server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def dead_port() -> Iterator[int]:
    """Nobody listens there, and nobody else will."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_a_certificate_that_is_trusted(certificate: Path) -> None:
    with tls_server(certificate) as port:
        found = reach(f"https://localhost:{port}", authorities=str(certificate))
    assert found.reached == "ok"
    assert "certificate verified (TLSv1.3)" in found.detail


def test_a_certificate_that_is_not_trusted(certificate: Path) -> None:
    with tls_server(certificate) as port:
        found = reach(f"https://localhost:{port}")
    assert found.reached == "certificate"
    assert "self-signed certificate" in found.detail


def test_a_certificate_of_another_name(certificate: Path) -> None:
    with tls_server(certificate) as port:
        found = reach(f"https://127.0.0.1:{port}", authorities=str(certificate))
    assert found.reached == "certificate"
    assert "127.0.0.1" in found.detail


def test_without_tls(dead_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = reach(f"http://127.0.0.1:{listening.getsockname()[1]}/prefix")
    assert (found.reached, found.detail) == ("ok", ", without TLS")


def test_nobody_there(dead_port: int) -> None:
    found = reach(f"https://127.0.0.1:{dead_port}")
    assert (found.reached, found.detail) == ("connect", "can't connect: Connection refused")


@pytest.mark.parametrize("name", ["no-such-name.invalid", "x" * 70 + ".example"])
def test_a_name_that_nobody_knows(name: str) -> None:
    found = reach(f"https://{name}")
    assert (found.reached, found.detail) == ("name", f"the name {name} is not known here")


def test_one_that_speaks_no_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        found = reach(f"https://127.0.0.1:{listening.getsockname()[1]}")
        thread.join(10)
    assert found.reached == "tls"
    assert found.detail.startswith("TLS fails: ")


def test_one_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = reach(f"https://127.0.0.1:{listening.getsockname()[1]}", limit=0.2)
    assert found.reached == "tls"
