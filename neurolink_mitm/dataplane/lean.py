"""A mitmproxy master with four addons: mitmdump's default ones take as much CPU as the rest of a request."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from mitmproxy import exceptions, hooks, http, options
from mitmproxy.addonmanager import AddonManager, Loader
from mitmproxy.addons import core, next_layer, proxyserver, tlsconfig
from mitmproxy.master import Master

logger = logging.getLogger("neurolink.addons")

Handler = Callable[..., Any]


class TlsOptions:
    """The options of `TlsConfig`, whose other hooks would make and store an authority for clients.

    TLS towards upstream is the data plane's.
    """

    def load(self, loader: Loader) -> None:
        tlsconfig.TlsConfig().load(loader)


@contextmanager
def _faults_of(event: hooks.Hook) -> Iterator[None]:
    """Log an exception of one addon and go on, as mitmproxy does."""
    try:
        yield
    except exceptions.AddonHalt:
        raise  # later addons don't get the event
    except Exception:
        logger.exception("Addon error in %s", event.name)


class LeanAddons(AddonManager):
    """Calls only the addons that have a hook, by a cache; the parent asks every addon for every event."""

    def __init__(self, master: Master) -> None:
        super().__init__(master)  # type: ignore[no-untyped-call]
        self._handlers: dict[str, list[Handler]] = {}
        self._suspended: dict[int, tuple[hooks.Hook, Awaitable[None], list[Handler]]] = {}

    def register(self, addon: object) -> object:
        self._handlers.clear()
        return super().register(addon)  # type: ignore[no-untyped-call]

    def remove(self, addon: object) -> None:
        super().remove(addon)  # type: ignore[no-untyped-call]
        self._handlers.clear()

    def run_now(self, event: hooks.Hook) -> bool:
        """Run the hook `event` without a task. Return False where a handler has to be awaited.

        `trigger_event` of the same event then goes on from that handler.
        """
        handlers = self._handlers.get(event.name) or self._handlers_of(event)
        flow = getattr(event, "flow", None)
        args = event.args() if flow is None else (flow,)  # `args` looks all fields up anew
        for place, handler in enumerate(handlers):
            try:  # rather than `_faults_of`: this runs a hundred times a request
                result = handler(*args)
            except exceptions.AddonHalt:
                break
            except Exception:
                logger.exception("Addon error in %s", event.name)
                continue
            if result is not None and inspect.isawaitable(result):
                # the event itself is stored, so that its id is not used again
                self._suspended[id(event)] = event, result, handlers[place + 1 :]
                return False
        return True

    async def handle_lifecycle(self, event: hooks.Hook) -> None:
        await self.trigger_event(event)  # no `update` event: no addon here shows flows

    async def trigger_event(self, event: hooks.Hook) -> None:
        unstarted = event, None, self._handlers_of(event)
        _, waiting, handlers = self._suspended.pop(id(event), unstarted)
        with suppress(exceptions.AddonHalt):
            if waiting is not None:
                with _faults_of(event):
                    await waiting
            for handler in handlers:
                with _faults_of(event):
                    result = handler(*event.args())
                    if inspect.isawaitable(result):
                        await result

    def _handlers_of(self, event: hooks.Hook) -> list[Handler]:
        if event.name not in self._handlers:
            self._handlers[event.name] = [
                handler for addon in self.chain for _, handler in self._iter_hooks(addon, event)
            ]
        return self._handlers[event.name]


class LeanMaster(Master):
    """A master with mitmproxy's options, server and choice of layers."""

    def __init__(self, opts: options.Options) -> None:
        _skip_type_checks()
        super().__init__(opts)
        self.addons = LeanAddons(self)
        self.addons.add(  # type: ignore[no-untyped-call]
            core.Core(), proxyserver.Proxyserver(), next_layer.NextLayer(), TlsOptions()
        )


def _skip_type_checks() -> None:
    """Skip mitmproxy's check of the types of each message's fields, as `python -O` does.

    It raises thirteen exceptions a request, in cycles for the garbage collector: a twelfth of a request's CPU.
    """
    setattr(http.MessageData, "__post_init__", lambda message: None)  # noqa: B010 - typed as a method
