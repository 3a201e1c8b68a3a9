"""The composition root: makes a master with the stack and runs it, by itself or inside mitmproxy's own programs."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mitmproxy import ctx, exceptions
from mitmproxy.addonmanager import Loader
from mitmproxy.master import Master

from neurolink_mitm.adapters.announced import Announced, state_of
from neurolink_mitm.adapters.body_store import FileBodies
from neurolink_mitm.adapters.claude_code import ClaudeCode
from neurolink_mitm.adapters.env_file import EnvFileError
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.journal import FileJournal
from neurolink_mitm.adapters.otlp import OtlpTelemetry
from neurolink_mitm.adapters.pool_memory import PoolMemory
from neurolink_mitm.adapters.spending import Spending
from neurolink_mitm.adapters.system import free_port
from neurolink_mitm.adapters.translator import TranslatorProcess
from neurolink_mitm.adapters.upkeep import Upkeep
from neurolink_mitm.addons.inspect import Inspect
from neurolink_mitm.core.config import ConfigError
from neurolink_mitm.mitm import master as masters
from neurolink_mitm.mitm.data_plane import OPTIONS, DataPlane
from neurolink_mitm.mitm.modes import MODE, parsed_pool_mode, with_pool_mode
from neurolink_mitm.mitm.page_token import PageToken
from neurolink_mitm.ports import Runtime
from neurolink_mitm.prepare import DEFAULT_HOST, DEFAULT_PORT, Prepared, Settings, prepare

logger = logging.getLogger("neurolink.app")

WEB_PORT = 8081
"""mitmweb's own; where another runs already, the page is on a free one."""

WEB_COLUMNS = ["icon", "path", "method", "status", "comment", "size", "time"]
"""mitmweb's, with the comment, which names the account."""

Stack = Callable[[Runtime], Sequence[object]]


async def serve(
    prepared: Prepared,
    settings: Settings,
    stack: Stack,
    on_ready: Callable[[str], None],
    claude_code: ClaudeCode | None = None,
) -> None:
    """Run the proxy until it is told to stop. `on_ready` is called once it serves, with mitmweb's address.

    `claude_code` is attached meanwhile.

    Raises:
        NotListeningError: the address could not be bound.
    """
    plane = DataPlane()
    lifecycle = Lifecycle(prepared, on_ready, claude_code)
    watching = _watching(prepared.runtime, plane) if settings.inspect else ()
    master = masters.make_master(
        in_browser=settings.inspect,
        addons=[plane, *stack(prepared.runtime), *watching, lifecycle],
        settings={**_options(settings, prepared.home), **trusted(prepared)},
    )
    lifecycle.master = master
    await masters.run(master, lambda: plane.busy)
    if lifecycle.failure:
        raise lifecycle.failure


def _watching(runtime: Runtime, plane: DataPlane) -> tuple[object, ...]:
    """For those who look at flows. Last of all, so that they see what the others have done."""
    from neurolink_mitm.mitm.replay import (
        Replay,
    )  # of mitmproxy's addons that a lean master has not

    return Replay(runtime, plane), Inspect()


def _options(settings: Settings, home: Home) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        **OPTIONS,
        "mode": [MODE],
        "listen_host": settings.host,
        "listen_port": settings.port,
    }
    if settings.inspect:
        chosen |= {
            "web_open_browser": False,
            "web_columns": WEB_COLUMNS,
            "web_port": free_port("127.0.0.1", WEB_PORT),
            "confdir": str(home.mitmproxy),
        }
    return chosen


def trusted(prepared: Prepared) -> dict[str, str]:
    """The option that names the authorities for upstream's certificates."""
    roots = prepared.sources.network.roots if prepared.sources else None
    return {"ssl_verify_upstream_trusted_ca": str(roots)} if roots else {}


class Lifecycle:
    """What has to be done when the proxy begins and stops to serve."""

    def __init__(
        self,
        prepared: Prepared,
        on_ready: Callable[[str], None],
        claude_code: ClaudeCode | None = None,
    ) -> None:
        self.master: Master | None = None
        self.failure: masters.NotListeningError | None = None
        self._prepared = prepared
        self._upkeep = _upkeep(prepared)
        self._on_ready = on_ready
        self._claude_code = claude_code
        self._announced = Announced(prepared.runtime, prepared.home.state, self._guard_pid)
        self._guarding: asyncio.Task[None] | None = None

    async def running(self) -> None:
        assert self.master is not None
        runtime = self._prepared.runtime
        try:
            runtime.port = masters.listening_port(self.master)
        except masters.NotListeningError as e:
            self.failure = e
            self.master.shutdown()
            return
        runtime.started_at = runtime.clock.now()
        if self._claude_code:
            await asyncio.to_thread(self._claude_code.attach, runtime.pid, state_of(runtime).url)
            guarding = self._claude_code.keep_guarded(runtime.pid, self._announced.again)
            self._guarding = asyncio.create_task(guarding)
        await self._announced.begin()
        if self._upkeep:
            self._upkeep.start()
        start_translator(runtime)
        runtime.on_config.append(lambda _: start_translator(runtime))
        runtime.on_config.append(lambda _: self._trust())
        self._on_ready(masters.web_url(self.master))

    def _trust(self) -> None:
        if self.master:
            self.master.options.update(**trusted(self._prepared))

    def _guard_pid(self) -> int | None:
        return self._claude_code.guard_pid if self._claude_code else None

    async def done(self) -> None:
        if self._upkeep:
            await self._upkeep.stop()
        if self._guarding:
            self._guarding.cancel()
        if self._claude_code:
            await asyncio.to_thread(self._claude_code.detach, self._prepared.runtime.pid)
        await self._announced.end()
        translator = self._prepared.runtime.translator
        if isinstance(translator, TranslatorProcess):
            await translator.stop()
        if refresher := self._prepared.runtime.refresher:
            await refresher.close()
        close_files(self._prepared.runtime)


def _upkeep(prepared: Prepared) -> Upkeep | None:
    if prepared.sources is None:
        return None
    return Upkeep(
        prepared.runtime, prepared.sources, prepared.home.logs, every=prepared.health_interval
    )


def start_translator(runtime: Runtime) -> None:
    """In the background, where the configuration names a model of another provider that can be asked."""
    named = (entry for entry in runtime.pool.others if entry.model and not entry.disabled)
    if runtime.passthrough:  # each request goes to Anthropic, with its caller's credentials
        return
    if isinstance(runtime.translator, TranslatorProcess) and any(True for _ in named):
        runtime.translator.start()


def close_files(runtime: Runtime) -> None:
    """Write, and send, what is still to be."""
    for kept in (
        runtime.bodies,
        runtime.journal,
        runtime.memory,
        runtime.spending,
        runtime.telemetry,
    ):
        if isinstance(kept, FileBodies | FileJournal | PoolMemory | Spending | OtlpTelemetry):
            kept.close()


class MitmScript:
    """The same stack as a plain mitmproxy script: options come by `--set`, state stays in NEUROLINK_HOME."""

    name = "neurolink"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._runtime: Runtime | None = None
        self._too_early = False
        self._listening: asyncio.Future[None] | None = None
        self._upkeep: Upkeep | None = None
        self._trusted: str | None = None
        self._announced: Announced | None = None
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
        self._take_over()
        try:
            prepared = prepare(self._settings())
        except (ConfigError, EnvFileError, OSError) as e:
            raise exceptions.OptionsError(f"NeuroLink can't start: {e}") from e
        prepared.runtime.started_at = prepared.runtime.clock.now()
        self._trust(prepared)
        prepared.runtime.on_config.append(lambda _: self._trust(prepared))
        self._runtime = prepared.runtime
        program = os.path.basename(sys.argv[0]) or self.name
        self._announced = Announced(prepared.runtime, prepared.home.state, program=program)
        self._upkeep = _upkeep(prepared)
        plane, runtime = DataPlane(), prepared.runtime
        for addon in (PageToken(), plane, *self._stack(runtime), *_watching(runtime, plane)):
            ctx.master.addons.register(addon)
            self.addons.append(addon)

    def running(self) -> None:
        # no coroutine: mitmproxy can not await it where it loads the script anew
        self._listening = asyncio.ensure_future(self._listen())
        if self._upkeep:
            self._upkeep.start()
        if self._runtime:
            start_translator(self._runtime)

    def done(self) -> None:
        if self._upkeep:
            self._upkeep.cancel()
        if self._announced:
            self._announced.end_now()
        if self._runtime:
            if isinstance(self._runtime.translator, TranslatorProcess):
                self._runtime.translator.abandon()
            close_files(self._runtime)

    async def _listen(self) -> None:
        """mitmproxy 12 begins to listen before it loads a script: on all addresses, and as another kind of proxy."""
        if self._too_early:
            await masters.listen_anew(ctx.master)
        with suppress(masters.NotListeningError):
            if self._runtime and self._announced:
                self._runtime.port = masters.listening_port(ctx.master)
                await self._announced.begin()

    def _trust(self, prepared: Prepared) -> None:
        """What the user has chosen by mitmproxy's own options stays."""
        options = ctx.options
        chosen = options.ssl_verify_upstream_trusted_ca
        if options.ssl_verify_upstream_trusted_confdir or chosen not in (None, self._trusted):
            return
        options.update(**trusted(prepared))
        self._trusted = options.ssl_verify_upstream_trusted_ca

    @staticmethod
    def _take_over() -> None:
        """A pool is a reverse proxy; what the user has chosen otherwise stays."""
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
        return Settings(
            environ=os.environ,
            host=mode.listen_host(options.listen_host),
            port=mode.listen_port(options.listen_port) or DEFAULT_PORT,
            config=Path(options.neurolink_config) if options.neurolink_config else None,
            env_file=Path(options.neurolink_env_file) if options.neurolink_env_file else None,
            strategy=options.neurolink_strategy or None,
            passthrough=options.neurolink_passthrough,
        )
