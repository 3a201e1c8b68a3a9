"""`mitmdump -s addons/neurolink.py` and `mitmweb -s`: the proxy as a script of mitmproxy's programs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mitmproxy import ctx, exceptions
from mitmproxy.addonmanager import Loader

from neurolink_mitm.app.lifecycle import Lifecycle, components
from neurolink_mitm.app.run import Stack, data_plane, serving, trusted, watchers
from neurolink_mitm.app.wiring import DEFAULT_HOST, DEFAULT_PORT, Prepared, Settings, prepare
from neurolink_mitm.config.apply import follow
from neurolink_mitm.config.env_file import EnvFileError
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.dataplane import master as masters
from neurolink_mitm.dataplane.data_plane import OPTIONS
from neurolink_mitm.dataplane.modes import parsed_pool_mode, with_pool_mode
from neurolink_mitm.dataplane.page_token import PageToken

_stopping: set[asyncio.Task[None]] = set()
"""Scripts that are stopping: a script that is loaded anew waits for the one before."""


class MitmScript:
    """The stack as a mitmproxy script: options come by `--set`, state stays in `NEUROLINK_HOME`."""

    name = "neurolink"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._too_early = False
        self._trusted: str | None = None
        self._prepared: Prepared | None = None
        self._lifecycle = Lifecycle(())
        self._starting: asyncio.Task[None] | None = None
        self.addons: list[object] = []

    def load(self, loader: Loader) -> None:
        loader.add_option("neurolink_config", str, "", "NeuroLink's configuration file.")
        loader.add_option("neurolink_env_file", str, "", "NeuroLink's file of keys.")
        loader.add_option("neurolink_strategy", str, "", "How an account is chosen.")
        loader.add_option(
            "neurolink_passthrough", bool, False, "Forward with the caller's own credentials."
        )

    def configure(self, updated: set[str]) -> None:
        if self.addons or not any(name.startswith("neurolink_") for name in updated):
            return
        self._too_early = masters.has_servers(ctx.master)
        self._set_options()
        try:
            prepared = prepare(self._settings())
        except (ConfigError, EnvFileError, OSError) as e:
            raise exceptions.OptionsError(f"NeuroLink can't start: {e}") from e
        prepared.runtime.started_at = prepared.runtime.clock.now()
        follow(prepared.runtime, lambda _: self._trust(prepared))
        self._prepared = prepared
        program = os.path.basename(sys.argv[0]) or self.name
        server = serving(prepared.runtime, ctx.master)
        self._lifecycle = Lifecycle(components(prepared, server, program=program))
        plane, runtime = data_plane(prepared), prepared.runtime
        for addon in (PageToken(), plane, *self._stack(runtime), *watchers(runtime, plane)):
            ctx.master.addons.register(addon)
            self.addons.append(addon)

    def running(self) -> None:
        # no coroutine: mitmproxy does not await it when it loads the script anew
        self._starting = asyncio.ensure_future(self._start())

    def done(self) -> Awaitable[object]:
        """Stop the components. mitmproxy awaits this when it ends, but not when it loads the script anew."""
        stopping = asyncio.ensure_future(self._stop())
        _stopping.add(stopping)
        stopping.add_done_callback(_stopping.discard)
        return asyncio.gather(*_stopping)

    async def _start(self) -> None:
        """Start the components; listen anew where mitmproxy 12 did so before the script had set its options."""
        if self._prepared is None:
            return
        if self._too_early:
            await masters.listen_anew(ctx.master)
        with suppress(masters.NotListeningError):
            self._prepared.runtime.port = masters.listening_port(ctx.master)
        if _stopping:
            await asyncio.wait(_stopping)
        await self._lifecycle.start()

    async def _stop(self) -> None:
        if self._starting:
            self._starting.cancel()
            await asyncio.wait((self._starting,))
        await self._lifecycle.stop()

    def _trust(self, prepared: Prepared) -> None:
        """Set the trusted authorities, unless mitmproxy's own options name some."""
        options = ctx.options
        chosen = options.ssl_verify_upstream_trusted_ca
        if options.ssl_verify_upstream_trusted_confdir or chosen not in (None, self._trusted):
            return
        options.update(**trusted(prepared))
        self._trusted = options.ssl_verify_upstream_trusted_ca

    @staticmethod
    def _set_options() -> None:
        """Set mode and address of the pool, unless mitmproxy's own options do."""
        options = ctx.options
        chosen: dict[str, Any] = dict(OPTIONS)
        port = DEFAULT_PORT if options.listen_port is None else options.listen_port
        chosen["mode"] = with_pool_mode(options.mode, port)
        mode = parsed_pool_mode(chosen["mode"])
        if options.listen_host == "":
            chosen["listen_host"] = DEFAULT_HOST
        if options.listen_port is None and mode.custom_listen_port is None:
            chosen["listen_port"] = DEFAULT_PORT
        options.update(**chosen)

    @staticmethod
    def _settings() -> Settings:
        options = ctx.options
        mode = parsed_pool_mode(options.mode)
        port = mode.listen_port(options.listen_port)
        return Settings(
            environ=os.environ,
            host=mode.listen_host(options.listen_host),
            port=DEFAULT_PORT if port is None else port,
            config=Path(options.neurolink_config) if options.neurolink_config else None,
            env_file=Path(options.neurolink_env_file) if options.neurolink_env_file else None,
            strategy=options.neurolink_strategy or None,
            passthrough=options.neurolink_passthrough,
        )
