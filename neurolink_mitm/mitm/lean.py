"""A mitmproxy with only what a proxy needs.

mitmdump's default addons cost as much CPU as all the rest of a request.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

from mitmproxy import exceptions, hooks, options, tls
from mitmproxy.addonmanager import AddonManager, Loader
from mitmproxy.addons import core, next_layer, proxyserver, tlsconfig
from mitmproxy.master import Master

logger = logging.getLogger("neurolink.addons")

Handler = Callable[..., Any]


class UpstreamTls:
    """TLS towards upstream only: all of `TlsConfig` would make and store an authority for clients."""

    def __init__(self) -> None:
        self._config = tlsconfig.TlsConfig()

    def load(self, loader: Loader) -> None:
        self._config.load(loader)

    def tls_start_server(self, tls_start: tls.TlsData) -> None:
        self._config.tls_start_server(tls_start)


class LeanAddons(AddonManager):
    """Calls the addons that hear an event, where the parent asks every addon for every event."""

    def __init__(self, master: Master) -> None:
        super().__init__(master)  # type: ignore[no-untyped-call]
        self._heard: dict[str, list[Handler]] = {}
        self._awaited: set[str] = set()

    def register(self, addon: object) -> object:
        self._forget()
        return super().register(addon)  # type: ignore[no-untyped-call]

    def remove(self, addon: object) -> None:
        super().remove(addon)  # type: ignore[no-untyped-call]
        self._forget()

    def _forget(self) -> None:
        self._heard.clear()
        self._awaited.clear()

    def run_now(self, event: hooks.Hook) -> bool:
        """Run a hook on the spot. False, and nothing is run, if one of its handlers has to be awaited."""
        handlers = self._handlers(event)
        if event.name in self._awaited:
            return False
        for handler in handlers:
            try:
                handler(*event.args())
            except exceptions.AddonHalt:
                break
            except Exception:  # as the parent does: one addon's fault is not the proxy's end
                logger.exception("Addon error in %s", event.name)
        return True

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        await self.trigger_event(event)  # no `update` event: nobody looks at flows here

    async def trigger_event(self, event: hooks.Hook) -> None:
        for handler in self._handlers(event):
            try:
                result = handler(*event.args())
                if inspect.isawaitable(result):
                    await result
            except exceptions.AddonHalt:
                return
            except Exception:
                logger.exception("Addon error in %s", event.name)

    def _handlers(self, event: hooks.Hook) -> list[Handler]:
        found = self._heard.get(event.name)
        if found is None:
            found = [
                handler for addon in self.chain for _, handler in self._iter_hooks(addon, event)
            ]
            self._heard[event.name] = found
            if any(map(inspect.iscoroutinefunction, found)):
                self._awaited.add(event.name)
        return found


class LeanMaster(Master):
    """Four of mitmproxy's addons: its options, the server, the choice of layers, and TLS upstream."""

    def __init__(self, opts: options.Options) -> None:
        super().__init__(opts)
        self.addons = LeanAddons(self)
        self.addons.add(  # type: ignore[no-untyped-call]
            core.Core(), proxyserver.Proxyserver(), next_layer.NextLayer(), UpstreamTls()
        )
