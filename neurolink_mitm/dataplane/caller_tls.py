"""TLS with callers, made by asyncio as soon as one has connected, before mitmproxy reads of it.

The certificate is that of the moment, so that a change needs no other listener: it is for the next connection.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress

from mitmproxy.connection import Client
from mitmproxy.proxy.server import ConnectionIO

from neurolink_mitm.dataplane.client import error_bytes
from neurolink_mitm.dataplane.throttled_warning import ThrottledWarning
from neurolink_mitm.dataplane.upstreams.memory import shrink_read_buffers

logger = logging.getLogger("neurolink.clients")

HANDSHAKE = 10.0
"""Seconds from the connection to the end of its handshake."""
GOODBYE = 2.0
"""Seconds that a caller may take to close a connection that was refused."""
UNREAD = 30.0
"""Seconds that it may take to read the rest of its response, and to close the connection."""
TLS = b"\x16"
"""First byte of a handshake."""
PLAIN = "this port speaks HTTPS: the URL of the proxy has to be https://…"

Context = Callable[[], ssl.SSLContext | None]


class RefusedError(Exception):
    """The connection is of no use; what there was to answer has been answered."""


class CallerTls:
    """Makes TLS with callers, and tells in the log why one fails."""

    def __init__(self) -> None:
        self._plain = ThrottledWarning(
            logger,
            "a client speaks plain HTTP to this port, which is HTTPS: its URL has to be https://…",
        )
        self._failed = ThrottledWarning(
            logger,
            "a TLS handshake has failed: that client may not trust the certificate of listen.cert",
        )
        shrink_read_buffers()

    async def secure(self, client: Client, io: ConnectionIO, context: ssl.SSLContext) -> None:
        """Put a reader and a writer of decrypted bytes into `io`. Raises `RefusedError`.

        Up to its first wait it runs before a byte was read.
        """
        assert isinstance(io.writer, asyncio.StreamWriter)
        try:
            async with asyncio.timeout(HANDSHAKE):
                first = await _first_byte(io.writer.transport)
                if not first:
                    raise RefusedError("the client left")
                if first != TLS:
                    await self._refuse_plain(io)
                reader, writer = await _start_tls(io.writer, context)
        except TimeoutError as e:
            raise RefusedError("no TLS handshake in time") from e
        except (OSError, asyncio.IncompleteReadError) as e:
            if isinstance(e, ssl.SSLError) and "ALERT" in (e.reason or ""):
                self._failed.warn()
            raise RefusedError(f"TLS handshake: {e}") from e
        io.reader, io.writer = reader, writer
        _describe(client, writer)

    async def _refuse_plain(self, io: ConnectionIO) -> None:
        """Answer in plain HTTP, and let the caller close: unread bytes would make a reset of our end."""
        self._plain.warn()
        assert isinstance(io.writer, asyncio.StreamWriter)
        assert isinstance(io.reader, asyncio.StreamReader)
        io.writer.write(error_bytes(400, PLAIN))
        io.writer.write_eof()
        io.writer.transport.resume_reading()  # type: ignore[attr-defined]
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE):
                while await io.reader.read(65536):
                    pass
        raise RefusedError("plain HTTP")


async def _first_byte(transport: asyncio.WriteTransport) -> bytes:
    """Return the first byte that comes, and leave it to be read; none if the caller goes away."""
    loop = asyncio.get_running_loop()
    transport.pause_reading()  # type: ignore[attr-defined]
    watched = transport.get_extra_info("socket")
    peeked = socket.socket(fileno=os.dup(watched.fileno()))  # asyncio keeps its own for itself
    try:
        peeked.setblocking(False)
        readable = loop.create_future()
        loop.add_reader(peeked, _resolve, readable)
        try:
            await readable
        finally:
            loop.remove_reader(peeked)
        return peeked.recv(1, socket.MSG_PEEK)
    finally:
        peeked.close()


class _TlsProtocol(asyncio.StreamReaderProtocol):
    """A protocol that knows from the beginning that TLS has no half-closed connections."""

    below: asyncio.StreamWriter
    """Kept as long as the connection: Python 3.13 closes that of a writer which is forgotten."""

    def eof_received(self) -> bool:
        super().eof_received()
        return False


def shut(transport: asyncio.WriteTransport) -> None:
    """Shut a connection down that nobody reads yet; whoever waits for its handshake learns of it."""
    with suppress(OSError):
        transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _start_tls(
    below: asyncio.StreamWriter, context: ssl.SSLContext
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Make TLS on a connection, as `asyncio.start_server` does with `ssl`."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = _TlsProtocol(reader, loop=loop)
    protocol.below = below
    secured = await loop.start_tls(
        below.transport, protocol, context, server_side=True,
        ssl_handshake_timeout=HANDSHAKE, ssl_shutdown_timeout=UNREAD,
    )  # fmt: skip
    if secured is None:
        raise ConnectionAbortedError("the client left")
    protocol.connection_made(secured)
    return reader, asyncio.StreamWriter(secured, protocol, reader, loop)


def _describe(client: Client, writer: asyncio.StreamWriter) -> None:
    """Set what flows show of TLS."""
    made = writer.get_extra_info("ssl_object")
    client.tls = True
    client.timestamp_tls_setup = time.time()
    client.tls_version = made.version()
    client.cipher = made.cipher()[0]
    alpn = made.selected_alpn_protocol()
    client.alpn = alpn.encode() if alpn else None
