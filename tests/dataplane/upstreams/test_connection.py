"""One connection of the set, with a real socket."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from neurolink_mitm.core.request.target import UpstreamKey
from neurolink_mitm.dataplane.upstreams.connection import PooledConnection
from neurolink_mitm.dataplane.upstreams.dial import dial
from tests.connect_proxy import Authority
from tests.dataplane.upstreams.loops import (
    LIMIT,
    Serve,
    descriptors,
    server_context,
    serving,
    trusting,
)


@asynccontextmanager
async def connection(
    serve: Serve, authority: Authority | None = None, certificate: Path | None = None
) -> AsyncIterator[PooledConnection]:
    """A connection to `serve`; over TLS, if that has a certificate."""
    context = server_context(certificate) if certificate else None
    async with asyncio.timeout(LIMIT), serving(serve, context) as port:
        key = UpstreamKey("localhost", port, tls=bool(certificate))
        pooled = PooledConnection(key, 0)
        trust = trusting(authority.path if authority else None)
        pooled.made(await dial(key, lambda: pooled, trust))
        yield pooled
        pooled.close()


async def turn(seconds: float = 0.0) -> None:
    await asyncio.sleep(seconds)


async def test_what_waits_below_tls_is_unsent_too(authority: Authority, certificate: Path) -> None:
    """TLS itself has nothing left once it has given all to TCP, which takes no more than the peer reads."""
    if "uvloop" in type(asyncio.get_running_loop()).__module__:
        pytest.skip("uvloop does not show what is below TLS")
    read = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await read.wait()
        while await reader.read(1 << 20):
            pass

    async with connection(serve, authority, certificate) as pooled:
        while not pooled.has_unsent:
            pooled.write(bytes(8192))
            await turn()
        transport = pooled.dialled.transport
        assert transport.get_write_buffer_size() == 0
        read.set()
        while pooled.has_unsent:
            await turn(0.005)


async def test_one_that_upstream_has_half_closed_is_closed() -> None:
    """Whatever is unsent: upstream does not read it, and the descriptor would stay open."""
    hang_up, ended = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # as one who does not read
        await hang_up.wait()
        writer.transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
        await ended.wait()

    async with connection(serve) as pooled:
        number = pooled.dialled.transport.get_extra_info("socket").fileno()
        mine = os.readlink(f"/proc/self/fd/{number}")
        while not pooled.has_unsent:
            pooled.write(bytes(65536))
            await turn()
        hang_up.set()
        while mine in descriptors():
            await turn(0.005)
        assert not pooled.is_open
        ended.set()
