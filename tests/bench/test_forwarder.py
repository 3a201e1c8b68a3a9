from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.forwarder import Client

ROUND_TRIP = 0.06
EARLY = 0.01
"""A timer's precision."""
LIMIT = 10.0

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Return all bytes, up to a full stop; then close."""
    while data := await reader.read(100):
        writer.write(data)
        if b"." in data:
            break
    writer.close()
    await writer.wait_closed()


@asynccontextmanager
async def far_away() -> AsyncIterator[Ends]:
    """A connection to `echo` that is a round trip away."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await echo(reader, writer)
        done.set()

    async with asyncio.timeout(LIMIT), await asyncio.start_server(serve, "127.0.0.1", 0) as target:
        port = target.sockets[0].getsockname()[1]
        server = await loop.create_server(lambda: Client(port, ROUND_TRIP), "127.0.0.1", 0)
        async with server:
            ends = await asyncio.open_connection(*server.sockets[0].getsockname())
            yield ends
            ends[1].close()
            await done.wait()


async def seconds_of(ends: Ends, data: bytes) -> float:
    """Return how long `data` takes there and back."""
    reader, writer = ends
    started = time.monotonic()
    writer.write(data)
    assert await reader.readexactly(len(data)) == data
    return time.monotonic() - started


async def test_a_round_trip_takes_its_time_and_a_new_connection_one_more() -> None:
    async with far_away() as ends:
        first = await seconds_of(ends, b"one")
        second = await seconds_of(ends, b"two")
    assert first >= 2 * ROUND_TRIP - EARLY
    assert ROUND_TRIP - EARLY <= second < first


async def test_a_connection_that_was_opened_ahead_costs_no_more() -> None:
    async with far_away() as ends:
        await seconds_of(ends, b"hello")
        times = [await seconds_of(ends, b"again") for _ in range(5)]
    assert min(times) < 2 * ROUND_TRIP


async def test_bytes_keep_their_order_and_the_end_comes_after_them() -> None:
    words = [b"%d " % number for number in range(50)]
    async with far_away() as (reader, writer):
        for word in (*words, b"."):
            writer.write(word)
            await asyncio.sleep(0)
        started = time.monotonic()
        assert await reader.read() == b"".join(words) + b"."
        assert time.monotonic() - started >= ROUND_TRIP - EARLY


async def test_nobody_there() -> None:
    """The target is gone: the client's connection is closed."""
    loop = asyncio.get_running_loop()
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as gone:
        port = gone.sockets[0].getsockname()[1]
    async with await loop.create_server(lambda: Client(port, ROUND_TRIP), "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await asyncio.wait_for(reader.read(), LIMIT) == b""
        writer.close()
