"""The upstream connections that one client's layer uses: its commands go to them, and what they send to it as events.

mitmproxy's own handler would open a connection for this client alone, and read it in a task.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from mitmproxy import certs
from mitmproxy.connection import Connection, ConnectionState, Server
from mitmproxy.proxy import commands, events, server_hooks
from mitmproxy.proxy.server import ConnectionHandler

from neurolink_mitm.core.request.target import UpstreamKey
from neurolink_mitm.dataplane.upstreams.connection import PooledConnection
from neurolink_mitm.dataplane.upstreams.dial import DialError
from neurolink_mitm.dataplane.upstreams.shared import Upstreams
from neurolink_mitm.dataplane.upstreams.tls import TlsFacts

ENDED = "upstream has ended the new connection before a request"
UNREAD = 64 * 1024
"""Bytes that a client has not read, above which nothing more is read from upstream."""


@dataclass
class OpenUpstream(commands.OpenConnection):
    """Connect `connection`, a server that stands for the way `key`; `fresh`: by a new connection."""

    connection: Server
    key: UpstreamKey
    fresh: bool = False

    __hash__ = object.__hash__


class HandBack(commands.ConnectionCommand):
    """The response on this connection is complete: another request may use it."""


@dataclass(eq=False)
class Lease:
    """One client's use of one connection, for one request."""

    server: Server
    leases: Leases
    connection: PooledConnection
    reused: bool

    @property
    def connect_seconds(self) -> float:
        return 0.0 if self.reused else self.connection.dialled.connect_seconds

    @property
    def tls_seconds(self) -> float:
        return 0.0 if self.reused else self.connection.dialled.tls_seconds

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of upstream's certificate in hex; empty without TLS."""
        tls = self.connection.dialled.tls
        return tls.fingerprint if tls else ""

    def received(self, data: bytes) -> None:
        self.leases.deliver(events.DataReceived(self.server, data))
        if self.connection.lessee is self:
            self.leases.throttle(self.connection)

    def closed(self) -> None:
        self.leases.closed(self)


class Leases:
    """Carries out the layer's commands to upstream. All of them are at once; only connecting takes time."""

    def __init__(
        self, upstreams: Upstreams, handler: ConnectionHandler, *, with_certificates: bool = False
    ) -> None:
        """`handler` is mitmproxy's of the client; `with_certificates`: somebody looks at flows."""
        self._upstreams = upstreams
        self._handler = handler
        self._with_certificates = with_certificates
        self._leases: dict[Connection, Lease] = {}
        self._opening: dict[Server, asyncio.Task[None]] = {}
        self._undelivered: deque[events.Event] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def get(self, server: Connection) -> Lease | None:
        return self._leases.get(server)

    def prepare(self, key: UpstreamKey) -> None:
        self._upstreams.prepare(key)

    # The layer's commands

    def open(self, command: OpenUpstream) -> bool:
        """Connect. Return whether it stands at once; else an event tells it."""
        connection = None if command.fresh else self._upstreams.take(command.key)
        if connection:
            connection.lessee = self._lend(command.connection, connection, reused=True)
            return True
        self._opening[command.connection] = self._start(self._open(command))
        return False

    def execute(self, command: commands.Command) -> bool:
        """Carry out a command to upstream. Return False if it is none."""
        server = getattr(command, "connection", None)
        if not isinstance(server, Server):
            return False
        lease = self._leases.get(server)
        if isinstance(command, commands.SendData):
            if lease:
                lease.connection.write(command.data)
        elif isinstance(command, HandBack):
            if lease:
                self._end(lease)
                self._put_back(lease.connection)
        else:
            if opening := self._opening.pop(server, None):
                opening.cancel()
            if lease:
                self._end(lease)
                lease.connection.close()
        return True

    def _put_back(self, connection: PooledConnection) -> None:
        if self._undelivered:  # maybe more of this response, which would be another request's
            connection.close()
        else:
            self._upstreams.put_back(connection)

    def close(self) -> None:
        """End all that is still used: the client has gone, and its layer hears nothing more."""
        for opening in self._opening.values():
            opening.cancel()
        self._opening.clear()
        for lease in [*self._leases.values()]:
            self._end(lease)
            lease.connection.close()

    def _end(self, lease: Lease) -> None:
        self._leases.pop(lease.server, None)
        lease.server.state = ConnectionState.CLOSED

    async def _open(self, command: OpenUpstream) -> None:
        server = command.connection
        hook_data = server_hooks.ServerConnectionHookData(
            server=server, client=self._handler.client
        )
        error: str | None = "connection cancelled"
        # mitmproxy's tasks start at once: the layer is still at work with the command
        await asyncio.sleep(0)
        try:
            await self._handler.handle_hook(server_hooks.ServerConnectHook(hook_data))
            error = server.error or await self._connected(command)
            if error is None:
                await self._handler.handle_hook(server_hooks.ServerConnectedHook(hook_data))
                error = self._ready(self._leases[server])
            else:
                server.error = error
                await self._handler.handle_hook(server_hooks.ServerConnectErrorHook(hook_data))
        finally:
            if server in self._opening:  # else the layer has closed it
                del self._opening[server]
                self.deliver(events.OpenConnectionCompleted(command, error))

    async def _connected(self, command: OpenUpstream) -> str | None:
        """Wait for a connection, and take it. Return the error, if none could be made."""
        fresh = command.fresh
        while True:
            try:
                connection = await self._standing_or_new(command.key, fresh=fresh)
            except DialError as e:
                return str(e)
            if connection.is_open:
                self._lend(command.connection, connection, reused=connection.was_kept)
                return None
            if fresh:
                return ENDED
            fresh = True  # one that came back has ended at the same moment

    async def _standing_or_new(self, key: UpstreamKey, *, fresh: bool) -> PooledConnection:
        # one may stand by now: what it had to read a moment ago was a session ticket of TLS
        ready = None if fresh else self._upstreams.take(key)
        return ready or await self._upstreams.connect(key, fresh=fresh)

    def _ready(self, lease: Lease) -> str | None:
        """Use a connection that addons have seen. Return the error, if it has ended meanwhile."""
        if lease.connection.is_open:
            lease.connection.lessee = lease
            return None
        self._end(lease)
        return ENDED

    def _lend(self, server: Server, connection: PooledConnection, *, reused: bool) -> Lease:
        """Make a lease. Until its connection has a lessee, that is closed if upstream says anything."""
        self._leases[server] = lease = Lease(server, self, connection, reused)
        connection.uses += 1
        # not one by one: a server of mitmproxy's checks each assignment
        vars(server).update(self._facts_of(connection))
        return lease

    def _facts_of(self, connection: PooledConnection) -> dict[str, Any]:
        """Return what mitmproxy shows of a server that is connected."""
        if connection.facts is None:
            connection.facts = _facts(connection, with_certificates=self._with_certificates)
        return connection.facts

    # Events for the layer

    def closed(self, lease: Lease) -> None:
        self._end(lease)
        self.deliver(events.ConnectionClosed(lease.server))

    def deliver(self, event: events.Event) -> None:
        """Let the layer handle `event` now; after those that wait, if some do."""
        if not self._undelivered:
            handling = self._handler.server_event(event)
            try:
                handling.send(None)  # it has no need to wait, unless the layer is at work just now
            except StopIteration:
                return
            handling.close()
        self._undelivered.append(event)
        if len(self._undelivered) == 1:
            self._start(self._deliver_later())

    async def _deliver_later(self) -> None:
        while self._undelivered:
            await self._handler.server_event(self._undelivered[0])
            self._undelivered.popleft()

    def throttle(self, connection: PooledConnection) -> None:
        """Read no more of upstream while the client does not read."""
        io = self._handler.transports.get(self._handler.client)
        writer = io.writer if io else None
        if not isinstance(writer, asyncio.StreamWriter):  # a replay has no client
            return
        if writer.transport.get_write_buffer_size() > UNREAD:
            connection.pause()
            self._start(_resume_after(writer, connection))

    def _start(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _resume_after(writer: asyncio.StreamWriter, connection: PooledConnection) -> None:
    try:
        await writer.drain()
    except OSError:
        pass  # the client has left, which its own reader notices
    finally:
        connection.resume()


def _facts(connection: PooledConnection, *, with_certificates: bool) -> dict[str, Any]:
    dialled, stood = connection.dialled, connection.wall_time
    facts: dict[str, Any] = {
        "state": ConnectionState.OPEN,
        "peername": dialled.peername,
        "sockname": dialled.sockname,
        "timestamp_start": stood - dialled.tls_seconds - dialled.connect_seconds,
        "timestamp_tcp_setup": stood - dialled.tls_seconds,
    }
    if tls := dialled.tls:
        facts |= {
            "timestamp_tls_setup": stood,
            "tls_version": tls.version,
            "cipher": tls.cipher,
            "alpn": tls.alpn,
            "sni": tls.sni,
            "certificate_list": _certificates(tls) if with_certificates else (),
        }
    return facts


def _certificates(tls: TlsFacts) -> Sequence[certs.Cert]:
    """Return upstream's certificates as mitmproxy shows them."""
    try:
        return [certs.Cert(x509.load_der_x509_certificate(each)) for each in tls.certificates]
    except ValueError:  # odd ones, which OpenSSL takes
        return ()
