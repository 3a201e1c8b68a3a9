from __future__ import annotations

import asyncio

import pytest

from clustertest.relay import Relay
from tests.clustertest.serving import serving


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)


async def test_a_relay_is_cut_and_mended() -> None:
    async with serving(echo) as port, Relay(port) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        relay.cut()
        with pytest.raises((ConnectionError, EOFError)):
            await reader.readexactly(1)
        writer.close()
        relay.mend()
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(b"two")
        assert await reader.readexactly(3) == b"two"
        writer.close()


async def test_a_frozen_relay_keeps_connections_open() -> None:
    async with serving(echo) as port, Relay(port) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        relay.freeze()
        writer.write(b"late")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(4), 0.05)
        relay.mend()
        assert await reader.readexactly(4) == b"late"
        writer.close()
