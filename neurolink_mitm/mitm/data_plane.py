from __future__ import annotations

from weakref import WeakSet

from mitmproxy import ctx, exceptions, tls
from mitmproxy.proxy import layer
from mitmproxy.proxy.layers import modes

from neurolink_mitm.mitm.lean import LeanAddons
from neurolink_mitm.mitm.pool_layer import PoolLayer, never
from neurolink_mitm.mitm.upstream_tls import UpstreamTls

MODE = "reverse:http://upstream.invalid:80"
"""A reverse proxy whose upstream is never used: each attempt says itself where it goes."""

OPTIONS = {
    "connection_strategy": "lazy",  # eager would connect to the placeholder before any hook
    "keep_host_header": True,  # the gate has to see what the client wrote
}


class DataPlane:
    """Puts our HTTP layer where mitmproxy's would be."""

    def __init__(self) -> None:
        self._layers: WeakSet[PoolLayer] = WeakSet()
        self._tls = UpstreamTls()

    def configure(self, updated: set[str]) -> None:
        if "ssl_insecure" in updated and ctx.options.ssl_insecure:
            raise exceptions.OptionsError(
                "NeuroLink always verifies upstream: leave ssl_insecure off"
            )

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        above = nextlayer.context.layers
        if len(above) == 1 and isinstance(above[0], modes.ReverseProxy):
            addons = ctx.master.addons
            lean = isinstance(addons, LeanAddons)
            run_now = addons.run_now if isinstance(addons, LeanAddons) else never
            nextlayer.layer = pool_layer = PoolLayer(
                nextlayer.context, run_now, frugal=lean, issuers=self._tls.issuers
            )
            self._layers.add(pool_layer)

    def tls_start_server(self, data: tls.TlsData) -> None:
        self._tls.start(data)

    @property
    def busy(self) -> int:
        """Requests that are being answered."""
        return sum(len(pool_layer.streams) for pool_layer in self._layers)
