"""HTTP over the connections to upstream that the process shares, for httpx: a token refresh finds one that stands.

A request is sent once, whatever happens: a refresh token is good once, and without a response nobody knows whether it
was used. So a connection that upstream may be about to close is not taken (`Upstreams.take_safe`), and after a request
without a response the next one gets a new connection. To ask again is the caller's decision, as with httpx's own.
"""

from __future__ import annotations

import asyncio
from functools import partial

import h11
import httpx

from neurolink_mitm.adapters.oauth_wire import LARGEST, Transport
from neurolink_mitm.core.failover.unreachable import NO_TUNNEL
from neurolink_mitm.core.request.target import Target, UpstreamKey, Via
from neurolink_mitm.dataplane.upstreams.connection import PooledConnection
from neurolink_mitm.dataplane.upstreams.dial import DialError
from neurolink_mitm.dataplane.upstreams.shared import Upstreams


def transport_over(upstreams: Upstreams) -> Transport:
    """Return what makes transports over `upstreams`."""
    return partial(UpstreamsTransport, upstreams, set())


class UpstreamsTransport(httpx.AsyncBaseTransport):
    """Sends small requests through the HTTP proxy `via`. Limits of time are the caller's."""

    def __init__(self, upstreams: Upstreams, unanswered: set[UpstreamKey], via: Via | None) -> None:
        """`unanswered`: where the last request got no response."""
        self._upstreams = upstreams
        self._unanswered = unanswered
        self._via = via

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        key = UpstreamKey.of(Target.parse(str(request.url)), self._via)
        body = await request.aread()
        connection = await self._connection(key)
        try:
            response = await _Exchange(self._upstreams, connection).send(request, body)
        except BaseException:
            self._unanswered.add(key)
            raise
        self._unanswered.discard(key)
        return response

    async def _connection(self, key: UpstreamKey) -> PooledConnection:
        fresh = key in self._unanswered
        connection = None if fresh else self._upstreams.take_safe(key)
        try:
            connection = connection or await self._upstreams.connect(key, fresh=fresh)
            if not connection.is_open and not fresh:  # one that came back and ended at once
                connection = await self._upstreams.connect(key, fresh=True)
        except DialError as e:
            text = str(e)
            if text.startswith(NO_TUNNEL):  # status and reason, as httpcore has it
                raise httpx.ProxyError(text.removeprefix(NO_TUNNEL)) from e
            raise httpx.ConnectError(text) from e
        if not connection.is_open:
            raise httpx.ConnectError("closed before a request")
        return connection


class _Exchange:
    """One request and its response, as the lessee of a connection, which is handed back or closed at the end."""

    def __init__(self, upstreams: Upstreams, connection: PooledConnection) -> None:
        self._upstreams = upstreams
        self._connection = connection
        self._http = h11.Connection(h11.CLIENT)
        self._head: h11.Response | None = None
        self._body = bytearray()
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def send(self, request: httpx.Request, body: bytes) -> httpx.Response:
        connection = self._connection
        connection.lessee = self
        connection.uses += 1
        try:
            connection.write(self._on_the_wire(request, body))
            await self._done
        finally:
            if connection.lessee is self:  # not handed back
                connection.close()
        assert self._head
        fields = self._head.headers.raw_items()
        stream = httpx.ByteStream(bytes(self._body))  # not `content`, which would be decompressed
        return httpx.Response(self._head.status_code, headers=fields, stream=stream)

    def _on_the_wire(self, request: httpx.Request, body: bytes) -> bytes:
        head = h11.Request(
            method=request.method, target=request.url.raw_path, headers=request.headers.raw
        )
        parts = (head, h11.Data(body), h11.EndOfMessage())
        return b"".join(self._http.send(part) or b"" for part in parts)

    def received(self, data: bytes) -> None:
        try:
            self._http.receive_data(data)
            self._read()
        except h11.RemoteProtocolError as e:
            error = httpx.RemoteProtocolError("no valid response")
            error.__cause__ = e
            self._done.set_exception(error)

    def closed(self) -> None:
        self.received(b"")  # h11: the end, which is that of some bodies

    def _read(self) -> None:
        while not self._done.done():
            event = self._http.next_event()
            if isinstance(event, h11.Response):
                self._head = event
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > LARGEST:
                    self._done.set_result(None)  # cut off: the caller takes no more
            elif isinstance(event, h11.EndOfMessage):
                self._complete()
            elif not isinstance(event, h11.InformationalResponse):  # more is needed
                return

    def _complete(self) -> None:
        """Hand the connection back at once: what comes from now on was not asked for."""
        reusable = self._http.our_state is self._http.their_state is h11.DONE
        if reusable and self._http.trailing_data == (b"", False):
            self._upstreams.put_back(self._connection)
        self._done.set_result(None)
