from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from soak.connect_proxy import AUTHORITY, HOST, ConnectProxy, Route, basic

LIMIT = 10.0
LOGIN = basic("a", "secret")


@asynccontextmanager
async def listening(serve: object) -> AsyncIterator[int]:
    async with await asyncio.start_server(serve, HOST, 0) as server:  # type: ignore[arg-type]
        yield server.sockets[0].getsockname()[1]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"echo " + await reader.readline())
    writer.close()
    await writer.wait_closed()


async def ask(login: str, *, authority: str = AUTHORITY, dropped: float = 0.0) -> tuple[str, str]:
    """Send a CONNECT and a line; return what came, and the record."""
    record = io.BytesIO()
    async with asyncio.timeout(LIMIT), listening(echo) as target:
        proxy = ConnectProxy({LOGIN: Route("a", target)}, record, dropped)
        async with listening(proxy.serve_client) as port:
            reader, writer = await asyncio.open_connection(HOST, port)
            head = f"CONNECT {authority} HTTP/1.1\r\nproxy-authorization: Basic {login}\r\n\r\n"
            writer.write(head.encode() + b"hello\n")
            came = await reader.read()
            writer.close()
            await writer.wait_closed()
    return came.decode(), record.getvalue().decode()


async def test_a_login_leads_to_its_account() -> None:
    came, record = await ask(LOGIN)
    assert came == "HTTP/1.1 200 Connection established\r\n\r\necho hello\n"
    assert record == "a open\n"


@pytest.mark.parametrize(
    ("login", "authority"),
    [(basic("a", "other"), AUTHORITY), (LOGIN, "upstream.test:80")],
    ids=["login", "authority"],
)
async def test_nobody_else_gets_a_tunnel(login: str, authority: str) -> None:
    came, record = await ask(login, authority=authority)
    assert came.startswith("HTTP/1.1 407 ")
    assert record == "nobody refused\n"


async def test_some_get_no_answer() -> None:
    assert await ask(LOGIN, dropped=1.0) == ("", "a dropped\n")


async def test_nobody_behind_it() -> None:
    record = io.BytesIO()
    async with listening(echo) as gone:
        pass
    proxy = ConnectProxy({LOGIN: Route("a", gone)}, record, 0.0)
    async with asyncio.timeout(LIMIT), listening(proxy.serve_client) as port:
        reader, writer = await asyncio.open_connection(HOST, port)
        head = f"CONNECT {AUTHORITY} HTTP/1.1\r\nProxy-Authorization: basic {LOGIN}\r\n\r\n"
        writer.write(head.encode())
        assert (await reader.read()).startswith(b"HTTP/1.1 502 ")
        writer.close()
        await writer.wait_closed()
    assert record.getvalue() == b"a unreachable\n"
