"""The clients tell a whole answer from a broken one."""

from __future__ import annotations

import asyncio
from functools import partial

from clustertest.load import Clients
from clustertest.upstream import Upstream
from tests.clustertest.serving import serving


async def test_whole_answers() -> None:
    """At once, in pieces, and on a kept connection."""
    async with serving(partial(Upstream().serve_client, 0)) as port:
        clients = Clients(port, key="sk-ant-api-a-0")
        results = await asyncio.gather(*(clients.ask("s", 8, pause) for pause in (0.0, 0.001)))
        results.append(await clients.ask("s"))
        clients.close()
    assert [(r.status, r.failed) for r in results] == [(200, False)] * 3


async def test_a_refusal() -> None:
    async with serving(partial(Upstream().serve_client, 0)) as port:
        clients = Clients(port, key="sk-ant-strange")
        result = await clients.ask("s")
        clients.close()
    assert (result.status, result.failed) == (401, True)


async def test_an_answer_that_breaks_off() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nevent\r\n")

    async with serving(serve) as port:
        result = await Clients(port).ask("s")
    assert (result.status, result.failed) == (200, True)
