"""An HTTP proxy whose tunnels lead where their login says: each account has a login, and an upstream behind it.

Run as `python -m soak.connect_proxy PORT ROUTES RECORD`. ROUTES is a JSON object: the `Basic` credentials of
each login, with its account and port. RECORD gets a line for each CONNECT: the account, and how it ended. It
serves until its standard input closes.
"""

import asyncio
import json
import random
import re
import sys
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
AUTHORITY = "upstream.test:443"
"""What all tunnels are asked for: only the login tells them apart."""
_DROPPED = 0.03
"""The share of CONNECTs that get no answer."""
_SECONDS = 5.0
"""A limit for the head of a CONNECT."""
_BACKLOG = 1024
_HEAD_END = b"\r\n\r\n"
_LOGIN = re.compile(rb"\r\nproxy-authorization: *basic +(\S+)\r\n", re.IGNORECASE)
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_REFUSED = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"
_BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter


@dataclass(frozen=True)
class Route:
    """Where a login leads."""

    account: str
    port: int


def basic(user: str, password: str) -> str:
    return b64encode(f"{user}:{password}".encode()).decode()


class ConnectProxy:
    """Serves CONNECT; `record` is a binary file."""

    def __init__(self, routes: dict[str, Route], record: Any, dropped: float = _DROPPED) -> None:
        self._routes = routes
        self._record = record
        self._dropped = dropped

    async def serve_client(self, reader: Reader, writer: Writer) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(_SECONDS):
                head = await reader.readuntil(_HEAD_END)
            await self._serve(head, reader, writer)
        writer.close()

    async def _serve(self, head: bytes, reader: Reader, writer: Writer) -> None:
        login = _LOGIN.search(head)
        route = self._routes.get(login[1].decode()) if login else None
        asked = head.startswith(b"CONNECT %s " % AUTHORITY.encode())
        if not route or not asked:
            self._note("nobody", "refused")
            writer.write(_REFUSED)
        elif random.random() < self._dropped:
            self._note(route.account, "dropped")
        else:
            await self._tunnel(route, reader, writer)

    async def _tunnel(self, route: Route, reader: Reader, writer: Writer) -> None:
        try:
            back, there = await asyncio.open_connection(HOST, route.port)
        except OSError:
            self._note(route.account, "unreachable")
            writer.write(_BAD_GATEWAY)
            return
        self._note(route.account, "open")
        writer.write(_ESTABLISHED)
        await asyncio.gather(_pump(reader, there), _pump(back, writer))

    def _note(self, account: str, how: str) -> None:
        self._record.write(f"{account} {how}\n".encode())


async def _pump(source: Reader, sink: Writer) -> None:
    """Pass everything on; a reset is passed on as one, an end ends both directions."""
    try:
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    except OSError:
        sink.transport.abort()
    sink.close()


async def serve(port: int, proxy: ConnectProxy) -> None:
    await asyncio.start_server(proxy.serve_client, HOST, port, backlog=_BACKLOG)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


def main(port: str, routes: str, record: str) -> None:
    logins = json.loads(Path(routes).read_text())
    with Path(record).open("ab", buffering=0) as file:
        proxy = ConnectProxy({login: Route(*route) for login, route in logins.items()}, file)
        asyncio.run(serve(int(port), proxy))


if __name__ == "__main__":
    main(*sys.argv[1:])
