"""Makes a master, lean or with mitmweb's page, and stops its server gently."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from mitmproxy import options
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.master import Master
from mitmproxy.proxy.server import ConnectionHandler

from neurolink_mitm.core.status.readiness import Readiness
from neurolink_mitm.dataplane.caller_tls import shut
from neurolink_mitm.dataplane.data_plane import layers_of
from neurolink_mitm.dataplane.layer import FailoverLayer, Stop
from neurolink_mitm.dataplane.lean import LeanMaster
from neurolink_mitm.dataplane.modes import pool_mode
from neurolink_mitm.dataplane.page_token import page_url, protect

NOTICE = 6.0
"""Seconds for a balancer to notice that the proxy drains: three checks of HAProxy, which come every two."""
CLOSE_LIMIT = 1.0
"""Seconds that the proxy waits for connections to close after that."""
_POLL = 0.05
"""Seconds between two checks."""


class NotListeningError(RuntimeError):
    """The address could not be bound."""

    def __init__(self, cause: BaseException | None) -> None:
        self.in_use = isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE
        super().__init__(str(cause) if cause else "no server was started")


def make_master(
    *, in_browser: bool, addons: Sequence[object], settings: Mapping[str, Any]
) -> Master:
    """Return a master with `addons` where `-s` would put them. Needs a running event loop."""
    opts = options.Options()
    master: Master = _web_master(opts) if in_browser else LeanMaster(opts)
    chain = master.addons.chain
    place = chain.index(master.addons.get("nextlayer"))  # the first to choose a layer has its way
    chain[place:place] = [master.addons.register(addon) for addon in addons]
    opts.update(**settings)
    return master


def _web_master(opts: options.Options) -> Master:
    from mitmproxy.tools.web.master import WebMaster  # tornado and more, only to look inside

    class Window(WebMaster):
        async def running(self) -> None:
            """Use another port if the page's has been taken since it was chosen."""
            try:
                await super().running()  # type: ignore[no-untyped-call]
            except OSError as e:
                if e.errno != errno.EADDRINUSE:
                    raise
                self.options.web_port = _free_port(self.options.web_host)
                await super().running()  # type: ignore[no-untyped-call]

    master = Window(opts, with_termlog=False)
    protect(master)
    return master


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as probe:
        return int(probe.getsockname()[1])


def listening_port(master: Master) -> int:
    """Return the port of a running master. Raises `NotListeningError` if it has none."""
    mode = pool_mode(master.options.mode)
    servers = [s for s in master.addons.get("proxyserver").servers if s.mode.full_spec == mode]
    addresses = [address for instance in servers for address in instance.listen_addrs]
    if not addresses:
        causes = [instance.last_exception for instance in servers]
        raise NotListeningError(next((c for c in causes if c), None))
    return int(addresses[0][1])


def web_url(master: Master) -> str:
    """Return the address of mitmweb's page with its token; empty for a lean master."""
    return "" if isinstance(master, LeanMaster) else page_url(master)


class Serving:
    """The component of the master's server: `start` takes over the signals, `stop` drains the server.

    The first signal ends the master, which stops all components. The second one ends streams at once.
    """

    def __init__(
        self, master: Master, limit: Callable[[], float], readiness: Readiness | None = None
    ) -> None:
        """`limit` returns the seconds that streams in flight get to finish."""
        self._master = master
        self._limit = limit
        self._readiness = readiness or Readiness()
        self._hurry = asyncio.Event()

    async def start(self) -> None:
        self.take_signals()
        self._readiness.serve()

    def take_signals(self) -> None:
        """Replace mitmproxy's and Python's signal handlers until the loop is closed."""
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or no main thread
            for number in _endings():
                loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._master.should_exit.is_set():
            self._hurry.set()
        elif number is signal.SIGINT:  # mitmproxy's console asks first
            getattr(self._master, "prompt_for_exit", self._master.shutdown)()
        else:
            self._master.shutdown()

    async def stop(self) -> None:
        """Stop to accept once balancers send nothing, wait for requests in flight, and end the rest with an error."""
        if not self._master.should_exit.is_set():
            return  # only the script ends or is loaded anew; mitmproxy goes on
        readiness, clock = self._readiness, time.monotonic
        readiness.drain(clock())
        await _until(lambda: self._hurry.is_set() or readiness.is_noticed(clock()), NOTICE)
        await close_server(self._master)
        await _tell_clients(self._master, Stop())
        await _until(lambda: self._hurry.is_set() or not _busy(self._master), self._limit())
        if _busy(self._master):
            await _tell_clients(self._master, Stop(at_once=True))
            await _until(lambda: not _busy(self._master), CLOSE_LIMIT)
        await close_clients(self._master)


def _endings() -> list[signal.Signals]:
    """Return the signals that stop the proxy. Under nohup, SIGHUP stays ignored."""
    asked = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        asked.append(signal.SIGHUP)
    return asked


def _busy(master: Master) -> bool:
    return any(failover_layer.streams for failover_layer in layers_of(master))


async def close_server(master: Master) -> None:
    """Accept no more connections; open ones stay."""
    server: Proxyserver = master.addons.get("proxyserver")
    await server.servers.update([])


def has_servers(master: Master) -> bool:
    """Tell whether the master has begun to listen."""
    return len(master.addons.get("proxyserver").servers) > 0


async def listen_anew(master: Master) -> None:
    """Listen anew, by the options as they are now."""
    await close_server(master)
    await master.addons.get("proxyserver").setup_servers()


async def _tell_clients(master: Master, event: Stop) -> None:
    """Send `event` to clients that have sent something, and disconnect the others."""
    for handler in list(master.addons.get("proxyserver").connections.values()):
        layers = handler.layer.context.layers
        if any(isinstance(each, FailoverLayer) for each in layers):
            await handler.server_event(event)
        elif len(layers) == 1:
            _hang_up(handler)


async def close_clients(master: Master) -> None:
    """Disconnect all clients while the loop can still run their tasks."""
    server: Proxyserver = master.addons.get("proxyserver")
    for handler in list(server.connections.values()):
        _hang_up(handler)
    await _until(lambda: not server.connections, CLOSE_LIMIT)


def _hang_up(handler: ConnectionHandler) -> None:
    client = handler.transports.get(handler.client)
    if client and client.handler:
        client.handler.cancel("the proxy stops")
    elif client and isinstance(client.writer, asyncio.StreamWriter):
        shut(client.writer.transport)


async def _until(reached: Callable[[], bool], limit: float) -> None:
    deadline = asyncio.get_running_loop().time() + limit
    # mitmproxy has no event for streams or connections that end
    while not reached() and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - see above
        await asyncio.sleep(_POLL)
