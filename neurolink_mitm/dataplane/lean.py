"""A mitmproxy with only what a proxy needs.

mitmdump's default addons cost as much CPU as all the rest of a request.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from mitmproxy import exceptions, hooks, http, options, tls
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


@contextmanager
def _faults_of(event: hooks.Hook) -> Iterator[None]:
    """One addon's fault is not the proxy's end; mitmproxy goes on likewise."""
    try:
        yield
    except exceptions.AddonHalt:
        raise  # the next ones shall not hear of it
    except Exception:
        logger.exception("Addon error in %s", event.name)


class LeanAddons(AddonManager):
    """Calls the addons that hear an event, where the parent asks every addon for every event."""

    def __init__(self, master: Master) -> None:
        super().__init__(master)  # type: ignore[no-untyped-call]
        self._heard: dict[str, list[Handler]] = {}
        self._begun: dict[int, tuple[hooks.Hook, Awaitable[None], list[Handler]]] = {}

    def register(self, addon: object) -> object:
        self._heard.clear()
        return super().register(addon)  # type: ignore[no-untyped-call]

    def remove(self, addon: object) -> None:
        super().remove(addon)  # type: ignore[no-untyped-call]
        self._heard.clear()

    def run_now(self, event: hooks.Hook) -> bool:
        """Run a hook on the spot, as far as that goes.

        False if a handler has to be awaited: `trigger_event` of the same event then goes on from there.
        """
        handlers = self._heard.get(event.name) or self._handlers(event)
        args = event.args() if handlers else []
        for place, handler in enumerate(handlers):
            try:  # rather than `_faults_of`: this runs a hundred times a request
                result = handler(*args)
            except exceptions.AddonHalt:
                break
            except Exception:
                logger.exception("Addon error in %s", event.name)
                continue
            if result is not None and inspect.isawaitable(result):
                # with the event itself, so that its id is nobody else's meanwhile
                self._begun[id(event)] = event, result, handlers[place + 1 :]
                return False
        return True

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        await self.trigger_event(event)  # no `update` event: nobody looks at flows here

    async def trigger_event(self, event: hooks.Hook) -> None:
        _, waiting, handlers = self._begun.pop(id(event), (event, None, self._handlers(event)))
        with suppress(exceptions.AddonHalt):
            if waiting is not None:
                with _faults_of(event):
                    await waiting
            for handler in handlers:
                with _faults_of(event):
                    result = handler(*event.args())
                    if inspect.isawaitable(result):
                        await result

    def _handlers(self, event: hooks.Hook) -> list[Handler]:
        found = self._heard.get(event.name)
        if found is None:
            found = [
                handler for addon in self.chain for _, handler in self._iter_hooks(addon, event)
            ]
            self._heard[event.name] = found
        return found


class LeanMaster(Master):
    """Four of mitmproxy's addons: its options, the server, the choice of layers, and TLS upstream."""

    def __init__(self, opts: options.Options) -> None:
        _trust_messages()
        super().__init__(opts)
        self.addons = LeanAddons(self)
        self.addons.add(  # type: ignore[no-untyped-call]
            core.Core(), proxyserver.Proxyserver(), next_layer.NextLayer(), UpstreamTls()
        )


def _trust_messages() -> None:
    """Leave out what `python -O` would leave out: mitmproxy's check of the type of each field of each message.

    A field that may be None costs it an exception, and thirteen of those a request, which lie in cycles, were most
    of what the garbage collector had to look at: without them a request takes a twelfth less CPU.
    """
    setattr(http.MessageData, "__post_init__", lambda message: None)  # noqa: B010 - typed as a method
