"""New connections to servers on loopback, on both loops."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import certifi
import pytest

from neurolink_mitm.core.request.target import Via
from neurolink_mitm.dataplane.upstreams.dial import DialError, Dialled, dial
from neurolink_mitm.dataplane.upstreams.key import UpstreamKey
from neurolink_mitm.dataplane.upstreams.opening import NEXT_ADDRESS
from neurolink_mitm.dataplane.upstreams.tls import UpstreamTrust
from tests.connect_proxy import COMPANY, Authority, connect_proxy, dead_proxy
from tests.dataplane.upstreams.loops import (
    LIMIT,
    Recorder,
    Serve,
    deaf,
    echo,
    no_descriptors,
    no_socket_left,
    server_context,
    serving,
    trusting,
)

NOBODY = UpstreamTrust()


@asynccontextmanager
async def dialled(key: UpstreamKey, trust: UpstreamTrust = NOBODY) -> AsyncIterator[Dialled]:
    async with asyncio.timeout(LIMIT):
        connection = await dial(key, Recorder, trust)
        yield connection
        connection.transport.abort()
        assert isinstance(connection.protocol, Recorder)
        await connection.protocol.lost.wait()


async def refused(key: UpstreamKey, trust: UpstreamTrust = NOBODY) -> DialError:
    async with asyncio.timeout(LIMIT):
        with pytest.raises(DialError) as caught:
            await dial(key, Recorder, trust)
    return caught.value


async def echoed(connection: Dialled) -> bytes:
    assert isinstance(connection.protocol, Recorder)
    connection.transport.write(b"hello")
    await connection.protocol.news.wait()
    return connection.protocol.received


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
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


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


@pytest.mark.parametrize("secure_proxy", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_through_an_http_proxy(
    authority: Authority, certificate: Path, secure_proxy: bool, tls: bool
) -> None:
    async with serving(context=server_context(certificate) if tls else None) as port:
        with connect_proxy(
            port, login="me:p:w", certificate=certificate if secure_proxy else None
        ) as between:
            scheme, at = ("https" if secure_proxy else "http"), between.server_address[1]
            via = Via.parse(f"{scheme}://me:p:w@localhost:{at}")
            key = UpstreamKey("localhost", 4430, tls, via)
            async with dialled(key, trusting(authority.path)) as connection:
                assert await echoed(connection) == b"hello"
                assert bool(connection.tls) is tls
                assert connection.peername == ("127.0.0.1", at)
                assert (connection.tls_seconds > 0) is tls
            assert between.targets == ["localhost:4430"]
            assert between.heads[0].count(b"Host: localhost:4430\r\n") == 1


async def test_a_tunnel_to_an_address_of_ipv6(authority: Authority, certificate: Path) -> None:
    async with serving() as port:
        with connect_proxy(port) as between:
            key = UpstreamKey("::1", 80, False, Via.parse(between.address))
            async with dialled(key) as connection:
                assert await echoed(connection) == b"hello"
            assert between.targets == ["[::1]:80"]


def answering(answer: bytes, *, then_close: bool = True) -> Serve:
    """Serve `answer` to whatever head comes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if not then_close:
            await reader.read()
        writer.close()

    return serve


@pytest.mark.parametrize(
    ("answer", "said", "permanent"),
    [
        (b"HTTP/1.1 407 Who are you\r\n\r\n", "refused HTTP CONNECT request: 407 Who are you", True),
        (b"HTTP/1.1 503\r\n\r\n", "refused HTTP CONNECT request: 503 ", False),
        (b"HTTP/1.0 403 No\n\n", "refused HTTP CONNECT request: 403 No", False),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n", "does not answer as an HTTP proxy", False),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n", "sent bytes that nobody has asked for", False),
        (b"HTTP/1.1 200 OK\r\n", "closed the connection instead of an answer", False),
        (b"", "closed the connection instead of an answer", False),
        (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 70_000, "is over 64 KiB", False),
    ],
    ids=["login", "unavailable", "forbidden", "ssh", "more", "half", "nothing", "long"],
)  # fmt: skip
async def test_a_proxy_that_opens_no_tunnel(answer: bytes, said: str, permanent: bool) -> None:
    async with serving(answering(answer)) as port:
        via = Via.parse(f"127.0.0.1:{port}")
        with no_socket_left():
            error = await refused(UpstreamKey("upstream.example", 443, True, via))
            await asyncio.sleep(0)
        assert said in str(error)
        assert error.permanent is permanent


async def test_an_answer_to_connect_byte_by_byte() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for byte in b"HTTP/1.1 200 Go\r\nx: y\r\n\r\n":
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0)
        await echo(reader, writer)

    async with serving(serve) as port:
        via = Via.parse(f"127.0.0.1:{port}")
        async with dialled(UpstreamKey("upstream.example", 80, False, via)) as connection:
            assert await echoed(connection) == b"hello"


async def test_nobody_listens() -> None:
    with dead_proxy() as address, no_socket_left():
        error = await refused(UpstreamKey("127.0.0.1", int(address.split(":")[1]), tls=False))
    assert (str(error), error.permanent) == ("Connection refused", False)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("nothing.invalid", "the name nothing.invalid is not known here"),
        ("a..b", "'a..b' can't be the name of a server"),
        (".b", "'.b' can't be the name of a server"),
        ("a" * 64, "can't be the name of a server"),
        ("a\r\nb", "'a\\r\\nb' can't be the name of a server"),
    ],
    ids=["unknown", "empty-label", "dot", "long-label", "lines"],
)
async def test_names_that_lead_nowhere(
    monkeypatch: pytest.MonkeyPatch, host: str, said: str
) -> None:
    def lookup(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup, raising=False)
    assert said in str(await refused(UpstreamKey(host, 443, tls=True)))


def resolve(monkeypatch: pytest.MonkeyPatch, *answers: list[tuple[Any, ...]]) -> None:
    """Answer look-ups of names with the addresses of `answers`, one list a look-up."""
    loop, left = asyncio.get_running_loop(), list(answers)
    really = loop.getaddrinfo

    async def lookup(host: str, *rest: Any, **options: Any) -> list[Any]:
        if host != "upstream.example":  # uvloop looks up addresses, too
            return await really(host, *rest, **options)
        return [
            (
                socket.AF_INET6 if ":" in address[0] else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                address,
            )
            for address in left.pop(0)
        ]

    monkeypatch.setattr(loop, "getaddrinfo", lookup, raising=False)


async def test_a_host_of_ipv6_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(host="::1") as port:
        both = [("127.0.0.1", port), ("::1", port, 0, 0)]
        resolve(monkeypatch, both)
        for host in ("::1", "upstream.example"):
            async with dialled(UpstreamKey(host, port, tls=False)) as connection:
                assert await echoed(connection) == b"hello"
                assert connection.peername[0] == "::1"


async def test_an_address_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving() as port:
        with deaf() as silent:
            resolve(monkeypatch, [silent, ("127.0.0.1", port)])
            async with dialled(UpstreamKey("upstream.example", port, tls=False)) as connection:
                assert await echoed(connection) == b"hello"
                assert NEXT_ADDRESS * 0.9 < connection.connect_seconds < 10 * NEXT_ADDRESS


async def test_names_are_looked_up_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as first, serving() as second:
        resolve(monkeypatch, [("127.0.0.1", first)], [("127.0.0.1", second)])
        for port in (first, second):
            async with dialled(UpstreamKey("upstream.example", 80, tls=False)) as connection:
                assert connection.peername[1] == port


async def test_no_descriptor_is_left(certificate: Path, authority: Authority) -> None:
    trust = trusting(authority.path)
    async with serving(context=server_context(certificate)) as port:
        async with dialled(UpstreamKey("localhost", port, tls=True), trust):
            pass
        with no_descriptors():
            error = await refused(UpstreamKey("127.0.0.1", port, tls=True), trust)
    assert (str(error), error.permanent) == ("Too many open files", False)


async def test_no_descriptor_is_left_for_the_list_of_authorities() -> None:
    trust = UpstreamTrust()
    certifi.where()
    with no_descriptors():
        error = await refused(UpstreamKey("127.0.0.1", 1, tls=True), trust)
    assert "Too many open files" in str(error)
    assert not error.permanent
    async with asyncio.timeout(LIMIT):
        assert await trust.context("127.0.0.1")


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
    trust.issuers["upstream.example"] = "CN=old"
    with connect_proxy(certificate=certificate) as between:
        via = Via.parse(f"https://localhost:{between.server_address[1]}")
        error = await refused(UpstreamKey("upstream.example", 443, True, via), trust)
        assert between.heads == []
    assert str(error).startswith("Certificate verify failed: ")
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


STAGES = ["tcp", "tls", "connect", "tls-in-tunnel", "tls-of-proxy", "connect-in-tls", "tls-in-tls"]


@pytest.mark.parametrize("stage", STAGES)
async def test_cancelling_closes_the_socket(
    stage: str, authority: Authority, certificate: Path
) -> None:
    """The server falls silent at this stage."""
    reached, gone = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            if stage.startswith("tls-in"):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 Yes\r\n\r\n")
            await reader.read(100)
            reached.set()
            while await reader.read(1000):
                pass
        writer.close()
        gone.set()

    trust = trusting(authority.path)
    await trust.context("localhost")
    tls_of_server = stage in ("connect-in-tls", "tls-in-tls")
    context = server_context(certificate) if tls_of_server else None
    async with serving(serve, context) as port:
        scheme = "https" if "tls-of" in stage or tls_of_server else "http"
        via = None if stage in ("tcp", "tls") else Via.parse(f"{scheme}://localhost:{port}")
        with deaf() as silent, no_socket_left():
            at = silent if stage == "tcp" else ("localhost", port)
            dialling = asyncio.create_task(dial(UpstreamKey(*at, True, via), Recorder, trust))
            if stage != "tcp":
                async with asyncio.timeout(LIMIT):
                    await reached.wait()
            else:
                await asyncio.sleep(0.05)
            dialling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dialling
            del dialling
            if stage != "tcp":
                async with asyncio.timeout(LIMIT):
                    await gone.wait()
            await asyncio.sleep(0.05)
            gc.collect()
