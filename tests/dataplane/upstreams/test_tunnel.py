"""HTTP proxies that open tunnels, and those that don't."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from neurolink_mitm.core.request.target import UpstreamKey, Via
from neurolink_mitm.dataplane.upstreams.dial import DialError
from neurolink_mitm.dataplane.upstreams.tunnel import MAX_HEAD, Unused
from tests.connect_proxy import Authority, connect_proxy
from tests.dataplane.upstreams.loops import (
    Serve,
    dialled,
    echo,
    echoed,
    no_socket_left,
    refused,
    server_context,
    serving,
    trusting,
)


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


def answering(answer: bytes) -> Serve:
    """Serve `answer` to whatever comes, and hang up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        await writer.drain()
        writer.close()

    return serve


@pytest.mark.parametrize(
    ("answer", "said", "permanent"),
    [
        (b"HTTP/1.1 407 Who are you\r\n\r\n", "Refused HTTP CONNECT request: 407 Who are you", True),
        (b"HTTP/1.1 503\r\n\r\n", "Refused HTTP CONNECT request: 503 ", False),
        (b"HTTP/1.0 403 No\n\n", "Refused HTTP CONNECT request: 403 No", False),
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


async def test_no_tls_beyond_the_proxy() -> None:
    async with serving(answering(b"SSH-2.0-OpenSSH_9.2p1\r\n")) as port:
        with connect_proxy(port) as between:
            via = Via.parse(between.address)
            error = await refused(UpstreamKey("upstream.example", 443, True, via))
    assert str(error) == "Beyond the HTTP proxy: does not speak TLS"
    assert not error.permanent


async def test_the_certificate_beyond_the_proxy_is_that_of_the_host(
    authority: Authority, certificate: Path
) -> None:
    async with serving(context=server_context(certificate)) as port:
        with connect_proxy(port) as between:
            via = Via.parse(between.address)
            key = UpstreamKey("upstream.example", 443, True, via)
            error = await refused(key, trusting(authority.path))
    assert "certificate is not valid for 'upstream.example'" in str(error)
    assert error.permanent


def test_no_more_is_kept_than_a_head_may_have() -> None:
    unused = Unused()
    for _ in range(10):
        unused.data_received(bytes(MAX_HEAD))
    assert len(unused.received) <= 2 * MAX_HEAD


def test_what_is_of_no_use() -> None:
    talkative, closed = Unused(), Unused()
    talkative.data_received(b"HTTP/1.1 200 OK")
    closed.eof_received()
    for unused, said in ((talkative, "nobody has asked for"), (closed, "closed the connection")):
        with pytest.raises(DialError, match=said):
            unused.check()
    Unused().check()
