"""The socket of the dashboard, and the thread that serves it from the first visit on."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from neurolink_mitm.core.settings.dashboard import Dashboard as Settings
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.dashboard.access import Access
from neurolink_mitm.dashboard.site import Site

if TYPE_CHECKING:
    from neurolink_mitm.dashboard.server import Server

logger = logging.getLogger("neurolink.dashboard")

NEXT_PORTS = 20
"""Ports that are tried after the configured one."""
BACKLOG = 64
STOP_SECONDS = 3.0


class Dashboard:
    """The component of the dashboard, and what `Runtime.dashboard` is.

    Until the first visit it is a bound socket and nothing else. Then a thread imports the server and runs it on an
    event loop of its own, so that no page holds up a flow. It follows the configuration.
    """

    def __init__(self, site: Site) -> None:
        self.access = Access()
        self._site = site
        self._settings: Settings | None = None
        """What the listener was opened for; None before the start."""
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._server: Server | None = None
        self._wanted = Settings()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str | None:
        """The address of the pages; None where nothing listens."""
        if self._socket is None:
            return None
        host, port = self._socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def link(self) -> str | None:
        """Return a link that signs one browser in; its token is in the fragment, which is sent to no server."""
        return f"{self.url}/signin#{self.access.new_link()}" if self.url else None

    def configure(self, config: Config) -> None:
        """Take over where to listen. A change closes the listener, and ends the visits."""
        self._wanted = config.dashboard
        if self._loop is not None:
            self._listen(self._loop)

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._site.loop = self._loop
        self._listen(self._loop)

    async def stop(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None:
            thread = self._close(loop)
            if thread:
                await asyncio.to_thread(thread.join, STOP_SECONDS)

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        wanted = self._wanted
        if self._settings and _place(self._settings) == _place(wanted):
            return
        self._close(loop)
        self._settings = wanted
        if not wanted.enabled:
            return
        try:
            self._socket = bound = bind(wanted.host, self._site.dashboard_port(wanted.port))
        except OSError as e:
            logger.error("the dashboard can't listen on %s: %s", wanted.host, e.strerror or e)
            return
        loop.add_reader(bound, self._first_visit, loop, bound)

    def _first_visit(self, loop: asyncio.AbstractEventLoop, bound: socket.socket) -> None:
        loop.remove_reader(bound)
        self._thread = threading.Thread(
            target=self._serve, args=(bound,), name="dashboard", daemon=True
        )
        self._thread.start()

    def _serve(self, bound: socket.socket) -> None:
        try:
            # here, since a web framework takes a third of a second and some megabytes
            from neurolink_mitm.dashboard.server import Server

            self._server = server = Server(self._site, self.access)
            if self._socket is bound:
                server.run(bound)
        except Exception:
            logger.exception("the dashboard has failed; the proxy goes on without it")

    def _close(self, loop: asyncio.AbstractEventLoop) -> threading.Thread | None:
        """Close the listener; return the thread that served it, which ends by itself."""
        bound, self._socket = self._socket, None
        if bound is None:
            return None
        loop.remove_reader(bound)
        server, self._server = self._server, None
        thread, self._thread = self._thread, None
        if server:
            server.stop()
        with suppress(OSError):
            bound.close()
        return thread


def _place(settings: Settings) -> tuple[bool, str, int]:
    return settings.enabled, settings.host, settings.port


def bind(
    host: str, port: int, bind_one: Callable[[str, int], socket.socket] | None = None
) -> socket.socket:
    """Return a listening socket on `port`, or on the next one that is free. Raises `OSError`."""
    bind_one = bind_one or _bind
    for each in range(port, min(port + NEXT_PORTS, 65536)) if port else ():
        with suppress(OSError):
            return bind_one(host, each)
    return bind_one(host, 0)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.create_server((host, port), family=family, backlog=BACKLOG)
    bound.setblocking(False)
    return bound
