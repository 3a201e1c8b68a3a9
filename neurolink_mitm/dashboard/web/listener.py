"""The socket of the dashboard, and the thread that serves it from the first visit on."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from neurolink_mitm.core.auth.loopback import is_loopback
from neurolink_mitm.core.settings.dashboard import Dashboard as Settings
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.dashboard.failures import log_failure
from neurolink_mitm.dashboard.site import Site
from neurolink_mitm.dashboard.web.access import Access
from neurolink_mitm.dataplane.threads import short_switch_interval

if TYPE_CHECKING:
    from neurolink_mitm.dashboard.web.server import Server

logger = logging.getLogger("neurolink.dashboard")

NEXT_PORTS = 20
"""Ports that are tried after the configured one."""
BACKLOG = 32
STOP_SECONDS = 3.0
TAKEN = (errno.EADDRINUSE, errno.EACCES)
"""Another port may do."""

OFF = "the dashboard is off: dashboard.enabled"
FAILED = "the dashboard has failed; the log of the proxy says why"


class Dashboard:
    """The component of the dashboard, and what `Runtime.dashboard` is. It follows the configuration."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._wanted = Settings()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened: Settings | None = None
        """What the listener was opened for; None before the start."""
        self._listener: Listener | None = None
        self._ending: list[threading.Thread] = []
        self._fault = OFF

    @property
    def url(self) -> str | None:
        """The address of the pages; None where nothing listens."""
        listener = self._listener
        return listener.url if listener and not listener.failed else None

    @property
    def fault(self) -> str:
        """Why there is no `url`."""
        return FAILED if self._listener else self._fault

    def report(self) -> Mapping[str, object] | None:
        """For `/status`; None where nothing listens."""
        return {"url": self.url, "readOnly": self._site.read_only} if self.url else None

    def expect(self, link: str) -> None:
        """Let a link sign one browser in, once, within a minute; `link` is the digest of its token."""
        if self._listener:
            self._listener.access.expect(link)

    def configure(self, config: Config) -> None:
        """Take over where to listen. A change closes the listener, and ends the sessions."""
        self._wanted = config.dashboard
        if self._loop is not None:
            self._listen(self._loop)

    async def start(self) -> None:
        self._loop = self._site.loop = asyncio.get_running_loop()
        self._listen(self._loop)

    async def stop(self) -> None:
        loop, self._loop = self._loop, None
        if loop is None:
            return
        self._close(loop)
        self._site.stop()
        await asyncio.to_thread(self._join)

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        wanted, opened = self._wanted, self._opened
        as_wanted = opened is not None and _place(opened) == _place(wanted)
        if as_wanted and (self.url or not wanted.enabled):
            return
        self._close(loop)
        self._opened, self._fault = wanted, OFF
        if not wanted.enabled:
            return
        port = self._site.dashboard_port(wanted.port)
        try:
            self._listener = listener = Listener(self._site, bind(wanted.host, port), loop)
        except OSError as e:
            self._fault = f"the dashboard can't listen on {wanted.host}: {e.strerror or e}"
            logger.error("%s", self._fault)
            return
        if port not in (0, listener.port):
            logger.warning("port %d is taken: the dashboard is on %s", port, listener.url)

    def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        listener, self._listener = self._listener, None
        thread = listener.close(loop) if listener else None
        self._ending = [t for t in (*self._ending, thread) if t and t.is_alive()]

    def _join(self) -> None:
        for thread in self._ending:
            thread.join(STOP_SECONDS)
            if thread.is_alive():
                logger.warning("the dashboard did not stop within %.0f s", STOP_SECONDS)


class Listener:
    """A bound socket, and until the first visit nothing else.

    Then a thread imports the server and runs it on an event loop of its own, so that no page holds up a flow. `close`
    may come at any moment, during the import as well.
    """

    def __init__(self, site: Site, bound: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        host, self.port = bound.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        self.access = Access()
        self.failed = False
        self._site = site
        self._socket = bound
        self._lock = threading.Lock()
        """Guards `_closed` and `_server`."""
        self._closed = False
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        loop.add_reader(bound, self._first_visit, loop)

    def close(self, loop: asyncio.AbstractEventLoop) -> threading.Thread | None:
        """Close the socket and end the server; return the thread that ends with it."""
        if self._thread is None and not self.failed:
            loop.remove_reader(self._socket)
        with self._lock:
            self._closed = True
            if self._server:
                self._server.stop()
            else:
                self._socket.close()
        return self._thread

    def _first_visit(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._socket)
        thread = threading.Thread(target=self._serve, name="dashboard", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # there can be no more threads
            self._fail()
        else:
            self._thread = thread

    def _serve(self) -> None:
        try:
            with short_switch_interval():
                # here, since a web framework takes a third of a second and some megabytes
                from neurolink_mitm.dashboard.web.server import Server

                server = Server(self._site, self.access)
            with self._lock:
                if self._closed:
                    return
                self._server = server
            server.run(self._socket)
        except BaseException:
            self._fail()
        finally:
            self._socket.close()

    def _fail(self) -> None:
        self.failed = True
        log_failure("the dashboard has failed; the proxy goes on without it")
        self._socket.close()  # a browser is refused at once, and does not wait


def _place(settings: Settings) -> tuple[bool, str, int]:
    return settings.enabled, settings.host, settings.port


def bind(
    host: str, port: int, bind_one: Callable[[str, int], socket.socket] | None = None
) -> socket.socket:
    """Return a listening socket on `port`, or on the next one that is free. Raises `OSError`."""
    bind_one = bind_one or _bind
    for each in range(port, min(port + NEXT_PORTS, 65536)) if port else ():
        try:
            return bind_one(host, each)
        except OSError as e:
            if e.errno not in TAKEN:
                raise
    return bind_one(host, 0)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.create_server((host, port), family=family, backlog=BACKLOG)
    if not is_loopback(bound.getsockname()[0]):  # a name such as x.localhost may be any address
        bound.close()
        raise OSError(f"{host} is no address of loopback here")
    bound.setblocking(False)
    return bound
