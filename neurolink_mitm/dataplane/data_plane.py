"""The data plane as an addon: puts our HTTP layer in place of mitmproxy's, and bounds what clients may take."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Iterator
from typing import cast
from weakref import WeakKeyDictionary, WeakSet

from mitmproxy import ctx, exceptions
from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Client
from mitmproxy.master import Master
from mitmproxy.proxy import layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.server import ConnectionHandler, ConnectionIO

from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.core.status.readiness import Readiness
from neurolink_mitm.dataplane import descriptors
from neurolink_mitm.dataplane.body_memory import BodyMemory
from neurolink_mitm.dataplane.caller_tls import CallerTls, RefusedError
from neurolink_mitm.dataplane.caller_tls import Context as TlsContext
from neurolink_mitm.dataplane.client_reader import ClientReader
from neurolink_mitm.dataplane.clients import MANY, MOST, UNREAD, Clients
from neurolink_mitm.dataplane.layer import FailoverLayer, never
from neurolink_mitm.dataplane.lean import LeanAddons
from neurolink_mitm.dataplane.modes import pool_mode
from neurolink_mitm.dataplane.upstreams.leases import Leases
from neurolink_mitm.dataplane.upstreams.shared import MOST_IDLE_OF_ALL, Upstreams
from neurolink_mitm.dataplane.upstreams.tls import TlsSettings

OPTIONS = {
    "connection_strategy": "lazy",  # eager would connect to the placeholder before any hook
}
"""mitmproxy's options that the data plane needs."""

SWEEP = 5.0
"""Seconds between two searches for idle clients."""

_LAYERS: WeakKeyDictionary[Master, WeakSet[FailoverLayer]] = WeakKeyDictionary()


def layers_of(master: Master) -> WeakSet[FailoverLayer]:
    """Return the layers of all clients and replays of `master`, those of a script loaded before included."""
    return _LAYERS.setdefault(master, WeakSet())


def _is_ours(client: Client) -> bool:
    """Whether the client uses the pool's mode, and not another one that runs beside it."""
    return client.proxy_mode.full_spec == pool_mode(ctx.options.mode)


class DataPlane:
    """Makes the layer of each client connection, and knows all of them."""

    def __init__(
        self,
        upstreams: Upstreams,
        readiness: Readiness | None = None,
        tls: TlsContext = lambda: None,
    ) -> None:
        """`tls` returns the context for a caller that connects now; None: it speaks plain HTTP."""
        self._readiness = readiness or Readiness()
        self._caller_tls = CallerTls()
        self._tls = tls
        self._layers: WeakSet[FailoverLayer] = WeakSet()
        self.upstreams = upstreams
        self._body_memory = BodyMemory(self._bodies)
        self.clients = Clients()
        self._shortage = descriptors.Shortage(self.upstreams.make_room)
        self._sweeping: asyncio.TimerHandle | None = None

    def take(self, config: Config) -> None:
        """Serve by `config` from the next request on."""
        self.upstreams.idle, self.upstreams.warm = config.network.idle, config.network.warm

    def load(self, loader: Loader) -> None:
        # where a script is loaded anew, streams outlive their data plane
        self._layers = layers_of(loader.master)
        most = descriptors.clients_within(descriptors.raise_limit())
        self.clients.most = min(MOST, most)
        self.upstreams.most_idle = min(MOST_IDLE_OF_ALL, most // 4)

    def configure(self, updated: set[str]) -> None:
        if "ssl_insecure" in updated and ctx.options.ssl_insecure:
            raise exceptions.OptionsError(
                "NeuroLink always verifies upstream: leave ssl_insecure off"
            )
        try:
            self.upstreams.trust.configure(TlsSettings.of(ctx.options))
        except ValueError as e:
            raise exceptions.OptionsError(str(e)) from e

    def running(self) -> None:
        self._shortage.watch(asyncio.get_running_loop())

    def done(self) -> None:
        self.upstreams.close()
        self._shortage.close()
        if self._sweeping:
            self._sweeping.cancel()

    def client_connected(self, client: Client) -> Awaitable[None] | None:
        handler = ctx.master.addons.get("proxyserver").connections.get(client.id)
        if not (handler and _is_ours(client)):
            return None
        self.clients.connected(client, handler)
        self._sweep_later()
        context = self._tls()
        if context:
            return self._secure(client, handler, context)
        self._read_from(handler.transports[client])
        return None

    async def _secure(
        self, client: Client, handler: ConnectionHandler, context: ssl.SSLContext
    ) -> None:
        io = handler.transports[client]
        try:
            await self._caller_tls.secure(client, io, context)
        except RefusedError as e:
            client.error = str(e)  # mitmproxy closes it
            return
        assert isinstance(io.writer, asyncio.StreamWriter)
        self.clients.secured(client, io.writer.transport)
        self._read_from(io, unread=True)

    def _read_from(self, io: ConnectionIO, *, unread: bool = False) -> None:
        assert isinstance(io.reader, asyncio.StreamReader)
        reader = ClientReader(io.reader, self._has_many, unread=unread)
        io.reader = cast(asyncio.StreamReader, reader)

    def _has_many(self) -> bool:
        return len(self.clients) > MANY

    def client_disconnected(self, client: Client) -> None:
        for failover_layer in self._layers_of(client):
            failover_layer.release()
        seat = self.clients.disconnected(client)
        if seat and seat.has_unread:  # else a client that does not read would hold its descriptor
            asyncio.get_running_loop().call_later(UNREAD, seat.transport.abort)

    def _layers_of(self, client: Client) -> list[FailoverLayer]:
        handler = ctx.master.addons.get("proxyserver").connections.get(client.id)
        layers = handler.layer.context.layers if handler else ()
        return [each for each in layers if isinstance(each, FailoverLayer)]

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        above = nextlayer.context.layers
        if len(above) == 1 and isinstance(above[0], modes.ReverseProxy):
            client = nextlayer.context.client
            handler = ctx.master.addons.get("proxyserver").connections.get(client.id)
            if handler and _is_ours(client):
                nextlayer.layer = failover_layer = self.new_layer(nextlayer.context, handler)
                self.clients.speaks(client, failover_layer)

    def new_layer(self, context: Context, handler: ConnectionHandler) -> FailoverLayer:
        """Our HTTP layer for one client connection, whose `handler` is mitmproxy's."""
        addons = ctx.master.addons
        lean = isinstance(addons, LeanAddons)
        run_now = addons.run_now if isinstance(addons, LeanAddons) else never
        failover_layer = FailoverLayer(
            context,
            run_now,
            frugal=lean,
            body_memory=self._body_memory,
            issuers=self.upstreams.trust.issuers,
            leases=Leases(self.upstreams, handler, with_certificates=not lean),
        )
        failover_layer.client_connection.ends_soon = self._is_draining
        self._layers.add(failover_layer)
        return failover_layer

    def _is_draining(self) -> bool:
        return self._readiness.phase == "draining"

    @property
    def busy(self) -> int:
        """The number of requests that are being answered."""
        return sum(len(failover_layer.streams) for failover_layer in self._layers)

    @property
    def held(self) -> int:
        """The bytes of request bodies in memory."""
        return sum(self._bodies())

    def _bodies(self) -> Iterator[int]:
        for failover_layer in self._layers:
            for stream in failover_layer.streams.values():
                if not stream.is_held:  # held requests have a bound of their own
                    yield stream.held

    def _sweep_later(self) -> None:
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        if len(self.clients):
            self._sweep_later()
        self.clients.sweep()
