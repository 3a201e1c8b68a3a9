"""Redis over TLS: the server's certificate is verified."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurolink_mitm.adapters.network import read_network
from neurolink_mitm.cluster.redis.link import AwayError, Link
from neurolink_mitm.core.redact.secret import Secret
from tests.cluster.redis_server import RedisServer
from tests.connect_proxy import Authority

pytestmark = pytest.mark.real("redis")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def port(folder: Path, authority: Authority) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    pem = str(authority.certificate("localhost"))
    files = ["--tls-cert-file", pem, "--tls-key-file", pem, "--tls-ca-cert-file", pem]
    options = ["--tls-port", str(port), *files, "--tls-auth-clients", "no"]
    with RedisServer(folder, *options, "--requirepass", "a-password", ready=b"-NOAUTH"):
        yield port


@pytest.mark.parametrize("by", ["network.caBundle", "SSL_CERT_FILE"])
async def test_an_authority_that_is_trusted(port: int, authority: Authority, by: str) -> None:
    environ = {"SSL_CERT_FILE": str(authority.path)} if by == "SSL_CERT_FILE" else {}
    network = read_network(environ, None if environ else authority.path)
    link = Link(Secret(f"rediss://:a-password@localhost:{port}/1"), "nl", lambda: network.context)
    assert await link.ask(lambda redis: redis.ping())
    await link.close()


@pytest.mark.parametrize(
    ("host", "trusted", "reason"),
    [
        ("localhost", False, "unable to get local issuer certificate|self.signed"),
        ("127.0.0.1", True, "IP address mismatch"),
    ],
    ids=["authority", "name"],
)
async def test_a_certificate_that_is_not(
    port: int, authority: Authority, host: str, trusted: bool, reason: str
) -> None:
    network = read_network({}, authority.path if trusted else None)
    link = Link(Secret(f"rediss://:a-password@{host}:{port}"), "nl", lambda: network.context)
    with pytest.raises(AwayError, match=reason):
        await link.ask(lambda redis: redis.ping())
    await link.close()
