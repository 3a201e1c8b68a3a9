"""By which address whom a proxy is asked, and whom its owner's commands trust."""

from __future__ import annotations

import ssl
import time
from hashlib import sha256
from pathlib import Path

import pytest

from neurolink_mitm.adapters.certificate import read_certificate
from neurolink_mitm.adapters.own_address import caller_url, open_connection, own_url, tls_state
from neurolink_mitm.core.settings.listen import Listen
from tests.adapters.tls_server import make_certificate, tls_server
from tests.certificates import make_pair


@pytest.mark.parametrize(
    ("host", "names", "hosts", "own", "callers"),
    [
        ("127.0.0.1", ("127.0.0.1", "localhost"), (), "127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", ("localhost",), (), "127.0.0.1", "localhost"),
        ("", ("localhost",), (), "127.0.0.1", "localhost"),
        ("::", ("pool.example",), ("pool.example",), "[::1]", "pool.example"),
        ("::1", ("::1",), (), "[::1]", "[::1]"),
        ("10.1.2.3", ("10.1.2.3",), ("pool.example",), "10.1.2.3", "10.1.2.3"),
        ("10.1.2.3", ("*.example",), ("pool.example",), "10.1.2.3", "pool.example"),
        ("127.0.0.1", ("elsewhere.example",), ("pool.example",), "127.0.0.1", "localhost"),
        ("10.1.2.3", ("elsewhere.example",), (), "10.1.2.3", "10.1.2.3"),
    ],
)
def test_callers_come_by_a_name_of_the_certificate(
    tmp_path: Path,
    host: str,
    names: tuple[str, ...],
    hosts: tuple[str, ...],
    own: str,
    callers: str,
) -> None:
    make_pair(tmp_path, names=names)
    listen = Listen(cert="tls.crt", key="tls.key", hosts=hosts)
    state = tls_state(read_certificate(listen, tmp_path, time.time()), host, hosts)
    assert own_url(host, 7, state) == f"https://{own}:7"
    assert caller_url(host, 7, state) == f"https://{callers}:7"
    assert state
    assert state.covered is ("elsewhere.example" not in names)


def test_without_certificate_it_is_plain_http() -> None:
    assert tls_state(None, "", ()) is None
    assert own_url("::", 7, None) == caller_url("::", 7, None) == "http://[::1]:7"


def test_an_owners_command_trusts_one_certificate_and_tells_nothing_to_others(
    tmp_path: Path,
) -> None:
    certificate, received = make_certificate(tmp_path), bytearray()
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text().partition("-----BEGIN PRIV")[0])
    for pin, trusted in ((sha256(der).hexdigest(), True), ("0" * 64, False), (None, False)):
        with tls_server(certificate, received) as port:
            connection = open_connection(f"https://127.0.0.1:{port}", 5, pin)
            try:
                connection.request("GET", "/status", headers={"x-neurolink-admin": "token"})
                assert trusted
                connection.sock.close()
            except ssl.SSLError:
                assert not trusted
            finally:
                connection.close()
        assert (b"token" in received) is trusted
        received.clear()
