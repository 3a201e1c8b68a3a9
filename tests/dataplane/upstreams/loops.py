"""Upstream servers on loopback, with a certificate authority of their own, for asyncio's loop and uvloop's."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
import ssl
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.core.request.target import UpstreamKey
from neurolink_mitm.dataplane.upstreams.dial import DialError, Dialled, dial
from neurolink_mitm.dataplane.upstreams.tls import TlsSettings, UpstreamTrust

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LIMIT = 20.0


def server_context(certificate: Path, *, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def drop_garbage() -> None:
    """Collect what earlier tests have left: on Python 3.11, pytest-asyncio leaves event loops open."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def serving(
    serve: Serve = echo, context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    """The port of a server whose connections are served by `serve`."""
    writers = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await serve(reader, writer)

    server = await asyncio.start_server(accept, host, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()
        # those whose handshake has failed have no writer; uvloop can't be closed while one is open
        await asyncio.wait_for(server.wait_closed(), LIMIT)


def trusting(authority: Path | None, **settings: str) -> UpstreamTrust:
    return UpstreamTrust(TlsSettings(authorities=str(authority) if authority else None, **settings))


def descriptors() -> set[str]:
    """What this process has open, as far as it is a socket."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.add(os.readlink(f"/proc/self/fd/{number}"))
    return {each for each in found if each.startswith("socket:")}


@contextmanager
def no_socket_left() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() <= before


class Recorder(asyncio.Protocol):
    """A user of a connection, that keeps what it is told."""

    def __init__(self) -> None:
        self.transport: asyncio.BaseTransport | None = None
        self.received = b""
        self.news = asyncio.Event()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.news.set()

    def connection_lost(self, _: Exception | None) -> None:
        self.lost.set()


@contextmanager
def deaf() -> Iterator[tuple[str, int]]:
    """An address whose connections are never accepted, nor refused: its queue is full."""
    with socket.socket() as server, ExitStack() as waiting:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        address = server.getsockname()
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(address)
        yield address


@contextmanager
def no_descriptors() -> Iterator[None]:
    """While the process has as many as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


NOBODY = UpstreamTrust()


@asynccontextmanager
async def dialled(key: UpstreamKey, trust: UpstreamTrust = NOBODY) -> AsyncIterator[Dialled]:
    async with asyncio.timeout(LIMIT):
        connection = await dial(key, Recorder, trust)
        yield connection
        connection.transport.abort()
        assert isinstance(connection.protocol, Recorder)
        await connection.protocol.lost.wait()


async def refused(key: UpstreamKey, trust: UpstreamTrust = NOBODY) -> DialError:
    async with asyncio.timeout(LIMIT):
        with pytest.raises(DialError) as caught:
            await dial(key, Recorder, trust)
    return caught.value


async def echoed(connection: Dialled) -> bytes:
    assert isinstance(connection.protocol, Recorder)
    connection.transport.write(b"hello")
    await connection.protocol.news.wait()
    return connection.protocol.received


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def resolve(
    monkeypatch: pytest.MonkeyPatch,
    *answers: list[tuple[Any, ...]] | OSError,
    host: str = "upstream.example",
) -> list[threading.Thread]:
    """Answer look-ups of `host` with these addresses or errors, one a look-up. Return the threads that ask."""
    really, left = socket.getaddrinfo, list(answers)
    threads: list[threading.Thread] = []

    def look_up(name: str, *rest: Any, flags: int = 0, **options: Any) -> list[Any]:
        if name != host or flags:
            return really(name, *rest, flags=flags, **options)
        threads.append(threading.current_thread())
        answer = left.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return [(*_TCP[len(each)], "", each) for each in answer]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return threads


_TCP = {
    2: (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP),
    4: (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP),
}
"""By the parts of an address."""
