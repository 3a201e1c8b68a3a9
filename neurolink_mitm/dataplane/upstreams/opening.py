"""Opens a connection to upstream: name, TCP, an HTTP proxy's tunnel, TLS."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from time import perf_counter
from typing import TypedDict

from aiohappyeyeballs import start_connection

from neurolink_mitm.core.failover.unreachable import BEYOND_PROXY
from neurolink_mitm.core.request.target import UpstreamKey, Via
from neurolink_mitm.dataplane.upstreams.failure import DialError, UntrustedError
from neurolink_mitm.dataplane.upstreams.names import addresses_of
from neurolink_mitm.dataplane.upstreams.tls import TlsFacts, UpstreamTrust
from neurolink_mitm.dataplane.upstreams.tunnel import Unused, ask_for_tunnel

NEXT_ADDRESS = 0.25
"""Seconds after which the next address is tried beside one that does not answer (RFC 8305 section 8)."""
GOODBYE = 2.0
"""Seconds for the peer to answer the end of TLS; meanwhile the descriptor is held."""
_OPTIONS = (
    (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
    # a laptop that has changed its network is told by nobody that its connections are dead
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 30),
    (socket.IPPROTO_TCP, "TCP_KEEPALIVE", 30),  # macOS' name of the same
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 10),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 30_000),
)
"""Options of sockets, where the system has them. After 30 s without an acknowledgement it is over (RFC 5482)."""
_UNKNOWN = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""What OpenSSL says of bytes that are no TLS."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection that nobody uses yet."""

    transport: asyncio.Transport
    connect_seconds: float
    tls_seconds: float
    tls: TlsFacts | None


async def open_connection(
    key: UpstreamKey, trust: UpstreamTrust, context: ssl.SSLContext | None
) -> Opened:
    """Open a connection, with TLS by `context` if that is given. Raises `DialError`."""
    unused, name = Unused(), _ascii(key.host)
    started = perf_counter()  # uvloop's clock stands still while a callback runs
    with ExitStack() as undo:
        if key.via:
            transport = await _tunnel(key, key.via, name, trust, unused, undo)
            connected = perf_counter()
            if context:
                with _translated(key, before=BEYOND_PROXY):
                    transport = await _start_tls(transport, unused, context, name)
        else:
            sock = await _socket(key.host, key.port)
            undo.callback(sock.close)
            connected = perf_counter()
            with _translated(key):
                transport = await _transport(sock, unused, context, name)
        undo.callback(transport.abort)
        unused.check()
        facts = TlsFacts.of(transport.get_extra_info("ssl_object"), key.host) if context else None
        undo.pop_all()
    tls_seconds = perf_counter() - connected if context else 0.0
    return Opened(transport, connected - started, tls_seconds, facts)


async def _tunnel(
    key: UpstreamKey,
    via: Via,
    name: str,
    trust: UpstreamTrust,
    unused: Unused,
    undo: ExitStack,
) -> asyncio.Transport:
    """Open a tunnel through an HTTP proxy, for TLS or not."""
    context = await trust.context(via.host) if via.scheme == "https" else None
    sock = await _socket(via.host, via.port)
    undo.callback(sock.close)
    with _translated(UpstreamKey(via.host, via.port, tls=True), is_proxy=True):
        transport = await _transport(sock, unused, context, _ascii(via.host))
    undo.callback(transport.abort)
    await ask_for_tunnel(transport, unused, name.encode(), key.port, via.authorization)
    return transport


async def _socket(host: str, port: int) -> socket.socket:
    """Return a connected socket; names are looked up anew each time, as their addresses change."""
    with _translated(UpstreamKey(host, port, tls=False)):
        sock = await start_connection(
            await addresses_of(host, port), happy_eyeballs_delay=NEXT_ADDRESS
        )
        for level, name, value in _OPTIONS:
            if hasattr(socket, name):
                with suppress(OSError):  # a system that knows the name, and not the option
                    sock.setsockopt(level, getattr(socket, name), value)
        return sock


class _Tls(TypedDict, total=False):
    ssl: ssl.SSLContext
    server_hostname: str
    ssl_shutdown_timeout: float


async def _transport(
    sock: socket.socket, unused: Unused, context: ssl.SSLContext | None, name: str
) -> asyncio.Transport:
    options: _Tls = {}
    if context:
        options = {"ssl": context, "server_hostname": name, "ssl_shutdown_timeout": GOODBYE}
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(lambda: unused, sock=sock, **options)
    return transport


async def _start_tls(
    transport: asyncio.Transport, unused: Unused, context: ssl.SSLContext, name: str
) -> asyncio.Transport:
    secured = await asyncio.get_running_loop().start_tls(
        transport, unused, context, server_hostname=name, ssl_shutdown_timeout=GOODBYE
    )
    if secured is None:  # closed by us meanwhile
        raise ConnectionResetError
    return secured


def _ascii(host: str) -> str:
    """Return the name as DNS and TLS have it. Raises `DialError`."""
    try:
        name = host.encode("idna").decode()
    except UnicodeError:
        name = ""
    if not name or name.startswith(".") or not name.isprintable() or " " in name:
        raise DialError(f"{host[:100]!r} can't be the name of a server")
    return name


@contextmanager
def _translated(server: UpstreamKey, *, is_proxy: bool = False, before: str = "") -> Iterator[None]:
    """Raise `DialError` for what goes wrong in connecting to `server`, with `before` before its text."""
    try:
        yield
    except ssl.SSLCertVerificationError as e:
        raise UntrustedError(e.verify_message.rstrip("."), server, is_proxy=is_proxy) from e
    except (OSError, RuntimeError, ValueError, LookupError) as e:  # uvloop, aiohappyeyeballs
        raise DialError(f"{before}{_text(e, server.host)}") from e


def _text(error: Exception, host: str) -> str:
    if isinstance(error, socket.gaierror):
        fault = (
            "is not known here"
            if error.errno in _UNKNOWN
            else f"can't be looked up: {error.strerror}"
        )
        return f"the name {host} {fault}"
    if isinstance(error, UnicodeError):
        return f"{host[:100]!r} can't be the name of a server"
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        if reason in _NO_TLS:
            return "does not speak TLS"
        return f"TLS fails: {reason.replace('_', ' ').lower()}"
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return str(error) or "closed the connection during the TLS handshake"
