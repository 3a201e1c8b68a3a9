from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.client import Timing
from bench.payloads import Pace
from bench.plan import Crowd
from bench.processes import Server
from bench.slow import stream_all
from bench.upstream import Upstream

LIMIT = 20.0
CROWD = Crowd(streams=20, ramp=0.1, pace=Pace(8, 30))


@asynccontextmanager
async def serving(lost: int = 0) -> AsyncIterator[Server]:
    """An upstream that hangs up on the first `lost` connections."""
    upstream, left = Upstream(), iter(range(lost))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if next(left, None) is None:
            await upstream.serve_client(reader, writer)
        writer.close()

    async with asyncio.timeout(LIMIT):
        server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
        async with server:
            yield Server("direct", server.sockets[0].getsockname()[1])


async def test_all_streams_are_whole_and_their_gaps_are_known() -> None:
    async with serving() as server:
        ends, gaps = await stream_all(server, CROWD)
    assert [type(end) for end in ends] == [Timing] * CROWD.streams
    assert max(gaps) >= 0.028
    assert len(gaps) >= CROWD.streams * 3


async def test_a_lost_stream_has_its_fault() -> None:
    async with serving(lost=2) as server:
        ends, _ = await stream_all(server, CROWD)
    assert len([end for end in ends if isinstance(end, str)]) == 2
