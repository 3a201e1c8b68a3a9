"""The uvicorn server of the sandbox: stops at once, and can break off connections."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from neurolink_mitm.sandbox.app import make_app
from neurolink_mitm.sandbox.state import Sandbox

BACKLOG = 2048
"""Connections that wait to be accepted."""


@dataclass(frozen=True)
class Tls:
    """The certificate that the server shows."""

    certfile: str
    keyfile: str | None = None


class Protocol(H11Protocol):
    """Puts the transport into the scope: without it the application can't break off a connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}
        self.lost = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.set()


class Server(uvicorn.Server):
    """Calls `ready` once it serves, and stops at once, however many streams are open."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def exit_soon(self) -> None:
        """Stop; any thread or signal handler may call this."""
        self.should_exit = True
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._woken.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._ready()

    async def main_loop(self) -> None:
        # like uvicorn's, which checks only ten times a second whether to end
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        # to the application this looks like a client that leaves, which ends every pause and stall
        while connections := await self._connections():
            for connection in connections:
                connection.transport.abort()
            await asyncio.gather(*(connection.lost.wait() for connection in connections))
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)

    async def _connections(self) -> list[Protocol]:
        # a connection that was just accepted is listed a few turns of the loop later; it must not outlive the loop
        for _ in range(5):
            await asyncio.sleep(0)
        return [c for c in self.server_state.connections if isinstance(c, Protocol)]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn raises the signal again at the end, and the exit code would not be 0
        self.exit_soon()


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def url_of(listener: socket.socket, tls: Tls | None) -> str:
    host, port = listener.getsockname()[:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def make_server(sandbox: Sandbox, tls: Tls | None, ready: Callable[[], None]) -> Server:
    """Return a server that calls `ready` once it serves. Raises OSError if the certificate can't be read."""
    config = uvicorn.Config(
        make_app(sandbox),
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,  # the record has the real client, not what headers claim
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=60,  # longer than a proxy keeps an idle connection
        ssl_certfile=tls.certfile if tls else None,
        ssl_keyfile=tls.keyfile if tls else None,
    )
    config.load()  # now, so that the caller gets the error of a certificate that can't be read
    return Server(config, ready)
