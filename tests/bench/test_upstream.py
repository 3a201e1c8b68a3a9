from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.client import AnswerError, connections
from bench.payloads import Kind, Pace, answer, kind_of, request, request_body, session_id
from bench.processes import Server
from bench.upstream import Upstream

LIMIT = 10.0


@asynccontextmanager
async def serving(upstream: Upstream) -> AsyncIterator[Server]:
    async with asyncio.timeout(LIMIT):
        server = await asyncio.start_server(upstream.serve_client, "127.0.0.1", 0, limit=1 << 20)
        async with server:
            yield Server("direct", server.sockets[0].getsockname()[1])


async def arrivals_of(server: Server, kind: Kind) -> int:
    """Return how often bytes of the answer's body came."""
    async with connections(server, 1) as (connection,):
        message = request(server.port, kind, Pace(), session_id(0))
        await connection.exchange(message, answer(kind, Pace()))
        return len(connection.arrivals)


@pytest.mark.parametrize("kind", ["streamed", "coalesced", "whole"])
def test_a_request_says_which_answer_it_wants(kind: Kind) -> None:
    body = request_body(kind, Pace(), session_id(0))
    assert kind_of(body) == kind
    assert kind_of(body[:-1]) is None


async def test_events_are_packets_of_their_own_or_one() -> None:
    async with serving(Upstream()) as server:
        assert await arrivals_of(server, "streamed") > 10
        assert await arrivals_of(server, "coalesced") == 1


async def test_every_so_many_requests_one_is_limited() -> None:
    async with serving(Upstream(limited_every=3)) as server:
        for _ in range(2):
            await arrivals_of(server, "whole")
            await arrivals_of(server, "whole")
            with pytest.raises(AnswerError, match=r"429 Too Many Requests: .*rate_limit_error"):
                await arrivals_of(server, "whole")
