"""The uvicorn server of the dashboard, with bounds on what a client may take: connections, time, memory."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from wsproto import ConnectionType, WSConnection
from wsproto.events import Event

from neurolink_mitm.core.redact.text import redact
from neurolink_mitm.dashboard.web.guard import HEADERS
from neurolink_mitm.dataplane.descriptors import FEWEST, clients_within, is_shortage, raise_limit

if TYPE_CHECKING:
    from starlette.types import ASGIApp
    from uvicorn._types import ASGISendEvent

logger = logging.getLogger("neurolink.dashboard")

MAX_CONNECTIONS = 128
"""Twenty browsers with all their connections; fewer where the system allows only few descriptors, which flows need."""
BACKLOG = 32
"""Connections that wait to be accepted, and that one turn of the loop accepts before any of them is counted."""
REQUEST_SECONDS = 10.0
"""Until a request is whole."""
UNREAD_SECONDS = 10.0
"""Until a client that does not read what it is sent is dropped."""
CLOSE_SECONDS = 2.0
"""Until a WebSocket that we close is cut, if the client does not answer that."""
FRAMES_A_SECOND = 100
"""Of a WebSocket's client, which has one message to send, and a pong now and then: one that sends more is dropped."""
GRACE = 1.0
"""Seconds that connections, and then their tasks, get to end by themselves."""
ACCEPTED = 5
"""Turns of the loop until a connection that was just accepted is listed."""


class Reading(asyncio.Protocol):
    """Mixed into a protocol: drops a client that does not read, and one whose bytes break the protocol."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        # asyncio does this only where the listener names its protocol; a body would wait 40 ms for the head's ACK
        with suppress(OSError):  # the client has left
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=0)  # a byte that is not taken counts

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except Exception:  # such as an answer to bytes that follow a broken request
            self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        super().connection_lost(exc)

    def _cancel(self) -> None:
        if self._unread:
            self._unread.cancel()


class Http(Reading, H11Protocol):
    """HTTP/1.1, a request of which has to be whole in time."""

    _incomplete: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            transport.abort()
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_watch()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        fields = [("content-type", "text/plain; charset=utf-8"), ("connection", "close")]
        fields += [*HEADERS.items(), ("content-length", str(len(msg)))]
        with suppress(h11.LocalProtocolError):  # an answer has begun
            for event in (
                h11.Response(status_code=400, headers=fields, reason=b"Bad Request"),
                h11.Data(data=msg.encode()),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _should_upgrade(self) -> bool:
        """Whether this is the handshake of a WebSocket; wsproto's refusals lack our headers."""
        fields = dict(self.headers)
        handshake = b"sec-websocket-key" in fields and fields.get(b"sec-websocket-version") == b"13"
        return handshake and self.scope["method"] == "GET" and super()._should_upgrade()

    def _watch(self) -> None:
        """Run the timer while a request is awaited that is not whole."""
        awaited = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        upgraded = (
            self.transport.get_protocol() is not self
        )  # h11 has not seen the end of its handshake
        if not awaited or upgraded or self.transport.is_closing():
            self._cancel_watch()
        elif self._incomplete is None:
            self._incomplete = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _cancel_watch(self) -> None:
        if self._incomplete:
            self._incomplete.cancel()
            self._incomplete = None


class WebSocket(Reading, WSProtocol):
    """A WebSocket, whose client has little to send, and has to answer our close."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = Frames(self.loop)

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.close":
            self.loop.call_later(CLOSE_SECONDS, self.transport.abort)


class Frames(WSConnection):
    """What a client sends: too much of it is an error, as each frame takes its time on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(ConnectionType.SERVER)
        self._loop = loop
        self._second = -math.inf
        self._frames = 0

    def events(self) -> Iterator[Event]:  # type: ignore[override] # as wsproto's, which is a generator
        for event in super().events():
            self._count()
            yield event

    def _count(self) -> None:
        """Raise `TooManyFramesError` for one frame too many."""
        now = self._loop.time()
        if now - self._second >= 1:
            self._second, self._frames = now, 0
        self._frames += 1
        if self._frames > FRAMES_A_SECOND:
            raise TooManyFramesError


class TooManyFramesError(Exception):
    """A client floods its WebSocket."""


def most_connections() -> int:
    return min(MAX_CONNECTIONS, max(FEWEST, clients_within(raise_limit()) // 4))


def on_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what the loop can't do, but for want of descriptors: it accepts again a second later."""
    error = context.get("exception")
    if not is_shortage(error):
        logger.error("%s: %s", context.get("message"), redact(repr(error)))


def configured(app: ASGIApp) -> uvicorn.Config:
    """Return uvicorn's settings. Its log is off: it tells of queries, and each broken request would be a line."""
    return uvicorn.Config(
        app,
        http=Http,
        ws=WebSocket,
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,  # by default uvicorn believes what loopback sends as x-forwarded-*
        server_header=False,
        backlog=BACKLOG,
        date_header=False,
        ws_max_size=64 * 1024,
        ws_per_message_deflate=False,  # a few bytes could become many in memory
    )


class Server(uvicorn.Server):
    """Ends within about two seconds of `exit_soon`, whatever its clients do."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def exit_soon(self) -> None:
        """Stop; any thread may call this, before `serve`, too."""
        self.should_exit = True
        with suppress(RuntimeError):  # the loop has ended by itself
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._woken.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(on_error)
        await super().startup(sockets)

    async def main_loop(self) -> None:
        # uvicorn's looks ten times a second whether to end, which keeps a laptop awake
        if not self.should_exit:
            await self._woken.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End idle connections at once, and busy ones after their answer, if that takes no longer than `GRACE`."""
        for server in self.servers:
            server.close()
        for _ in range(ACCEPTED):
            await asyncio.sleep(0)
        for connection in list(self.server_state.connections):
            with suppress(Exception):  # one that has not shaken hands, or is closing already
                connection.shutdown()
        late = await self._wait_for_tasks()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for task in late:
            task.cancel()
        await self._wait_for_tasks()
        await asyncio.sleep(0)  # the protocols hear of an abort in the next turn

    async def _wait_for_tasks(self) -> set[asyncio.Task[None]]:
        """Return the tasks that are not done within `GRACE`."""
        tasks = set(self.server_state.tasks)
        return (await asyncio.wait(tasks, timeout=GRACE))[1] if tasks else set()
