"""The memory that TLS takes for each connection."""

from __future__ import annotations

import asyncio
from asyncio import sslproto
from pathlib import Path

import pytest

from neurolink_mitm.core.request.target import UpstreamKey
from neurolink_mitm.dataplane.upstreams import memory
from neurolink_mitm.dataplane.upstreams.dial import dial
from tests.connect_proxy import Authority
from tests.dataplane.upstreams.loops import LIMIT, Recorder, server_context, serving, trusting


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_a_connection_has_a_small_buffer(authority: Authority, certificate: Path) -> None:
    """By asyncio's inside: where another Python has it elsewhere, look whether it is still needed."""
    async with serving(context=server_context(certificate)) as port, asyncio.timeout(LIMIT):
        key = UpstreamKey("localhost", port, tls=True)
        connection = await dial(key, Recorder, trusting(authority.path))
        inside = connection.transport._ssl_protocol  # type: ignore[attr-defined]
        assert isinstance(inside, sslproto.SSLProtocol)
        assert len(inside._ssl_buffer) == memory.READ  # type: ignore[attr-defined]
        connection.transport.abort()


@pytest.mark.parametrize("size", [1, memory.WRITE, memory.WRITE + 1, 5 * memory.WRITE])
@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
async def test_what_is_written_in_pieces_is_the_same(
    authority: Authority, certificate: Path, size: int, tls: bool
) -> None:
    sent = bytes(i % 251 for i in range(size))
    async with (
        serving(context=server_context(certificate) if tls else None) as port,
        asyncio.timeout(LIMIT),
    ):
        key = UpstreamKey("localhost", port, tls)
        connection = await dial(key, Recorder, trusting(authority.path))
        user = connection.protocol
        assert isinstance(user, Recorder)
        memory.write(connection.transport, sent)
        while len(user.received) < size:
            user.news.clear()
            await user.news.wait()
        assert user.received == sent
        connection.transport.abort()


class Counting(asyncio.WriteTransport):
    def __init__(self, **extra: object) -> None:
        super().__init__(extra)
        self.pieces: list[int] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.pieces.append(len(data))


def test_pieces_are_for_tls_only() -> None:
    plain, secured = Counting(), Counting(ssl_object=object())
    for transport in (plain, secured):
        memory.write(transport, bytes(2 * memory.WRITE + 1))
    assert plain.pieces == [2 * memory.WRITE + 1]
    assert secured.pieces == [memory.WRITE, memory.WRITE, 1]
