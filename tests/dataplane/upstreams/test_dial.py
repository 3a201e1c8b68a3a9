"""New connections to servers on loopback, on both loops."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from pathlib import Path

import pytest

from neurolink_mitm.core.request.target import UpstreamKey, Via
from neurolink_mitm.dataplane.upstreams.tls import UpstreamTrust
from tests.connect_proxy import COMPANY, Authority, connect_proxy
from tests.dataplane.upstreams.loops import (
    LIMIT,
    Recorder,
    dialled,
    echoed,
    no_socket_left,
    refused,
    server_context,
    serving,
    trusting,
)


def der(certificate: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.read_text().partition("-----BEGIN PRIV")[0])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_plain_connection(host: str) -> None:
    async with serving() as port, dialled(UpstreamKey(host, port, tls=False)) as connection:
        assert await echoed(connection) == b"hello"
        assert isinstance(connection.protocol, Recorder)
        assert connection.protocol.transport is connection.transport
        assert connection.peername == ("127.0.0.1", port)
        assert connection.sockname[0] == "127.0.0.1"
        assert (connection.tls, connection.tls_seconds) == (None, 0.0)
        assert 0 < connection.connect_seconds < LIMIT


async def test_a_path_that_is_dead_is_found_out() -> None:
    async with serving() as port, dialled(UpstreamKey("127.0.0.1", port, tls=False)) as connection:
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_USER_TIMEOUT)
        assert [sock.getsockopt(socket.IPPROTO_TCP, each) for each in options] == [30, 10, 30_000]


async def test_a_connection_with_tls(authority: Authority, certificate: Path) -> None:
    context = server_context(certificate, alpn=("h2", "http/1.1"))
    shown = der(certificate)
    async with (
        serving(context=context) as port,
        dialled(UpstreamKey("localhost", port, tls=True), trusting(authority.path)) as connection,
    ):
        assert await echoed(connection) == b"hello"
        facts = connection.tls
        assert facts
        assert (facts.version, facts.alpn, facts.sni) == ("TLSv1.3", b"http/1.1", "localhost")
        assert facts.cipher.startswith("TLS_")
        assert facts.certificates[0] == shown
        assert facts.fingerprint == hashlib.sha256(shown).hexdigest()
        assert connection.tls_seconds > 0


async def test_an_authority_that_nobody_knows(certificate: Path) -> None:
    trust = UpstreamTrust()
    async with serving(context=server_context(certificate)) as port:
        with no_socket_left():
            error = await refused(UpstreamKey("localhost", port, tls=True), trust)
            await asyncio.sleep(0.05)
    assert str(error) == "Certificate verify failed: unable to get local issuer certificate"
    assert error.permanent
    assert trust.issuers == {"localhost": f"CN={COMPANY}"}


async def test_a_good_certificate_ends_what_was_said_of_the_one_before(
    authority: Authority, certificate: Path
) -> None:
    trust = trusting(authority.path)
    trust.issuers |= {"localhost": "CN=old", "other": "CN=old"}
    async with (
        serving(context=server_context(certificate)) as port,
        dialled(UpstreamKey("localhost", port, tls=True), trust),
    ):
        assert trust.issuers == {"other": "CN=old"}


async def test_a_proxy_that_nobody_trusts(authority: Authority, certificate: Path) -> None:
    trust = UpstreamTrust()
    with connect_proxy(certificate=certificate) as between:
        via = Via.parse(f"https://localhost:{between.server_address[1]}")
        error = await refused(UpstreamKey("upstream.example", 443, True, via), trust)
        assert between.heads == []
    assert str(error).startswith("Certificate verify failed at the HTTP proxy: ")
    assert trust.issuers == {"localhost": f"CN={COMPANY}"}


async def test_the_certificate_of_another_host(authority: Authority, certificate: Path) -> None:
    trust = trusting(authority.path)
    async with serving(context=server_context(certificate)) as port:
        error = await refused(UpstreamKey("127.0.0.1", port, tls=True), trust)
    assert "IP address mismatch, certificate is not valid for '127.0.0.1'" in str(error)
    assert error.permanent


async def test_a_certificate_behind_a_tunnel(authority: Authority, certificate: Path) -> None:
    trust = UpstreamTrust()
    async with serving(context=server_context(certificate)) as port:
        with connect_proxy(port, login="me:pw") as between:
            via = Via.parse(f"me:pw@{between.address}")
            error = await refused(UpstreamKey("upstream.example", 443, True, via), trust)
            assert between.targets == ["upstream.example:443"] * 2
    assert error.permanent
    assert trust.issuers == {"upstream.example": f"CN={COMPANY}"}


async def test_what_is_no_tls(authority: Authority) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with serving(serve) as port:
        with no_socket_left():
            error = await refused(UpstreamKey("localhost", port, tls=True))
            await asyncio.sleep(0.05)
    assert (str(error), error.permanent) == ("does not speak TLS", False)


async def test_a_server_that_hangs_up_on_tls() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with serving(serve) as port:
        error = await refused(UpstreamKey("localhost", port, tls=True))
    assert str(error) in (
        "closed the connection during the TLS handshake",
        "Connection reset by peer",
    )
