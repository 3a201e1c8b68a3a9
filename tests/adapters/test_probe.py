"""How far one gets with a base URL; each end is a real one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurolink_mitm.adapters.network import Network, read_network
from neurolink_mitm.adapters.probe import probe_upstream
from tests.adapters.tls_server import make_certificate, tls_server
from tests.connect_proxy import COMPANY, Authority, connect_proxy, dead_proxy


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def trusting(certificate: Path) -> Network:
    return read_network({"SSL_CERT_FILE": str(certificate)})


@pytest.fixture
def dead_port() -> Iterator[int]:
    """Nobody listens there, and nobody else will."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_a_certificate_that_is_trusted(certificate: Path) -> None:
    with tls_server(certificate) as port:
        found = probe_upstream(f"https://localhost:{port}", trusting(certificate))
    assert found.reached == "ok"
    assert "certificate verified (TLSv1.3)" in found.detail


def test_a_certificate_that_is_not_trusted(certificate: Path) -> None:
    with tls_server(certificate) as port:
        found = probe_upstream(f"https://localhost:{port}")
    assert found.reached == "certificate"
    assert "self-signed certificate" in found.detail


def test_a_certificate_of_another_name(certificate: Path) -> None:
    with tls_server(certificate) as port:
        found = probe_upstream(f"https://127.0.0.1:{port}", trusting(certificate))
    assert found.reached == "certificate"
    assert "127.0.0.1" in found.detail


def test_without_tls(dead_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = probe_upstream(f"http://127.0.0.1:{listening.getsockname()[1]}/prefix")
    assert (found.reached, found.detail) == ("ok", ", without TLS")


def test_nobody_there(dead_port: int) -> None:
    found = probe_upstream(f"https://127.0.0.1:{dead_port}")
    assert (found.reached, found.detail) == ("connect", "can't connect: Connection refused")


@pytest.mark.parametrize("name", ["no-such-name.invalid", "x" * 70 + ".example"])
def test_a_name_that_nobody_knows(name: str) -> None:
    found = probe_upstream(f"https://{name}")
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
        found = probe_upstream(f"https://127.0.0.1:{listening.getsockname()[1]}")
        thread.join(10)
    assert found.reached == "tls"
    assert found.detail.startswith("TLS fails: ")


def test_one_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = probe_upstream(f"https://127.0.0.1:{listening.getsockname()[1]}", limit=0.2)
    assert found.reached == "tls"


# --- through a proxy, to a host that only it knows

HOST = "upstream.example"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secured(authority: Authority) -> Iterator[int]:
    with tls_server(authority.certificate(HOST)) as port:
        yield port


def through(proxy: str, authority: Authority | None) -> Network:
    trusted = {"NODE_EXTRA_CA_CERTS": str(authority.path)} if authority else {}
    return read_network({"HTTPS_PROXY": proxy, **trusted})


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_proxy_that_leads_there(authority: Authority, secured: int, tls: bool) -> None:
    certificate = authority.certificate("localhost") if tls else None
    with connect_proxy(secured, login="me:p@ss:w", certificate=certificate) as proxy:
        address = f"localhost:{proxy.server_address[1]}"
        url = f"{'https' if tls else 'http'}://me:p@ss:w@{address}"
        found = probe_upstream(f"https://{HOST}", through(url, authority))
    scheme = "https" if tls else "http"
    expected = f" through {scheme}://…@{address}, certificate verified (TLSv1.3)"
    assert (found.reached, found.detail) == ("ok", expected)
    assert proxy.targets == [f"{HOST}:443"]


@pytest.mark.parametrize(
    ("login", "said"),
    [
        ("me:wrong@", "does not take this user and password (407)"),
        ("", "asks for a user and password (407)"),
    ],
    ids=["wrong", "none"],
)
def test_a_proxy_that_lets_nobody_through(secured: int, login: str, said: str) -> None:
    with connect_proxy(secured, login="me:right") as proxy:
        found = probe_upstream(f"https://{HOST}", through(f"{login}{proxy.address}", None))
        shown = f"http://{'…@' if login else ''}{proxy.address}"
    assert found.reached == "proxy"
    assert found.detail == f"the HTTP proxy {shown} (HTTPS_PROXY) {said}"


def test_a_proxy_that_is_dead() -> None:
    with dead_proxy() as address:
        found = probe_upstream(f"https://{HOST}", through(address, None))
    said = f"the HTTP proxy http://{address} (HTTPS_PROXY) can't be reached: Connection refused"
    assert (found.reached, found.detail) == ("proxy", said)


def test_a_proxy_whose_name_nobody_knows() -> None:
    found = probe_upstream(f"https://{HOST}", through("no-such-name.invalid:1", None))
    assert found.reached == "proxy"
    assert "the name no-such-name.invalid is not known here" in found.detail


def test_a_proxy_that_can_not_be_used() -> None:
    found = probe_upstream(f"https://{HOST}", through("socks5://me:hunter2@h:1", None))
    assert found.reached == "proxy"
    assert found.detail.startswith("HTTPS_PROXY: socks5:// proxies can't be used")
    assert "hunter2" not in found.detail


def test_a_certificate_of_the_companys_own(secured: int) -> None:
    with connect_proxy(secured) as proxy:
        found = probe_upstream(f"https://{HOST}", through(proxy.address, None))
    assert found.reached == "certificate"
    assert f"issued by CN={COMPANY}" in found.detail
    assert "NODE_EXTRA_CA_CERTS" in found.detail


def test_a_certificate_that_has_expired(authority: Authority) -> None:
    with (
        tls_server(authority.certificate("old.example", days=-1)) as port,
        connect_proxy(port) as proxy,
    ):
        found = probe_upstream("https://old.example", through(proxy.address, authority))
    assert found.reached == "certificate"
    assert "certificate has expired" in found.detail
    assert "clock" in found.detail
