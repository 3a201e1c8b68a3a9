"""The composition root: from settings and files to a running proxy."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.request import getproxies, proxy_bypass

from mitmproxy import ctx, exceptions
from mitmproxy.addonmanager import Loader
from mitmproxy.master import Master

from neurolink_mitm.adapters import config_file
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.journal import FileJournal
from neurolink_mitm.adapters.pool_memory import NoMemory, PoolMemory, read_cooldowns, read_quotas
from neurolink_mitm.adapters.state_file import State, StateFile, process_start
from neurolink_mitm.adapters.system import SystemChance, SystemClock, free_port
from neurolink_mitm.adapters.token_store import TokenStore, TokenStoreError
from neurolink_mitm.core.access import is_loopback
from neurolink_mitm.core.accounts import Account, build_pool, unused_settings
from neurolink_mitm.core.config import Config, ConfigError
from neurolink_mitm.core.pool import Pool
from neurolink_mitm.core.rotation import STRATEGIES
from neurolink_mitm.core.secret import Secret
from neurolink_mitm.core.target import Target
from neurolink_mitm.mitm import master as masters
from neurolink_mitm.mitm.compat import check_version
from neurolink_mitm.mitm.data_plane import MODE, OPTIONS, DataPlane
from neurolink_mitm.ports import Runtime

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 55669
WEB_PORT = 8081
"""mitmweb's own; where another runs already, the page is on a free one."""

Stack = Callable[[Runtime], Sequence[object]]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a start was asked for. `environ` is where `${VAR}` and keys come from."""

    environ: Mapping[str, str]
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    config: Path | None = None
    strategy: str | None = None
    passthrough: bool = False
    inspect: bool = False
    accounts: tuple[Account, ...] | None = None
    """Serve these, whatever is stored or configured (the sandbox's)."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that is needed to run, and what the user should hear first."""

    runtime: Runtime
    home: Home
    warnings: tuple[str, ...]


def prepare(settings: Settings) -> Prepared:
    """Read the configuration and the accounts; nothing is served yet.

    Raises:
        ConfigError: with every fault.
        OSError: the home directory can't be made.
    """
    check_version()
    try:
        home = Home.from_environment(settings.environ)
        warnings = list(home.create())
        credentials = TokenStore(home).read()
    except (ValueError, TokenStoreError) as e:
        raise ConfigError(str(e)) from e
    path = settings.config or home.config
    loaded = config_file.load(path, settings.environ, required=settings.config is not None)
    config = loaded.config
    _check_exposure(settings.host, config)
    accounts = settings.accounts
    made_anew = accounts is not None  # the sandbox's are
    if accounts is None:
        key = settings.environ.get("ANTHROPIC_API_KEY")
        accounts = build_pool(
            config, credentials.stored, credentials.legacy, Secret(key) if key else None
        )
        accounts = tuple(map(through_proxy, accounts))
        warnings += unused_settings(config, accounts)
    runtime = Runtime(
        config=config,
        pool=Pool(
            accounts,
            _strategy(settings, config),
            affinity=config.routing.session_affinity,
            primary=config.routing.primary_account,
        ),
        clock=SystemClock(),
        chance=SystemChance(),
        journal=FileJournal(home.logs),
        memory=NoMemory() if made_anew else PoolMemory(home.cooldowns, home.quotas),
        host=settings.host,
        port=settings.port,
        names=frozenset({socket.gethostname().lower()}),
        pid=os.getpid(),
        passthrough=settings.passthrough,
        admin_token=Secret(secrets.token_urlsafe(24)),
        config_path=str(path) if path.exists() else None,
    )
    if not made_anew:
        runtime.pool.restore(read_cooldowns(home.cooldowns), read_quotas(home.quotas))
    return Prepared(runtime, home, (*warnings, *credentials.warnings, *loaded.warnings))


def through_proxy(account: Account) -> Account:
    """With the environment's proxy, unless the account has one of its own, or `direct`, or is on this machine."""
    target = Target.parse(account.base_url)
    if account.proxy_url or is_loopback(target.host):
        return account
    proxies = getproxies()
    if proxy_bypass(target.host):
        return account
    return replace(account, proxy_url=proxies.get(target.scheme))


def _strategy(settings: Settings, config: Config) -> str:
    strategy = settings.strategy or config.routing.strategy
    if strategy not in STRATEGIES:
        known = ", ".join(STRATEGIES)
        raise ConfigError(f"routing.strategy: {strategy} is not there yet; choose {known}")
    return strategy


def _check_exposure(host: str, config: Config) -> None:
    """Whoever can reach the port can spend the accounts: beyond loopback callers must show a key."""
    if not is_loopback(host) and not config.clients.api_keys:
        raise ConfigError(
            f"clients.api-keys: must be set to listen on {host or 'all addresses'}:"
            " anyone who can reach it could spend your accounts"
        )


async def serve(
    prepared: Prepared, settings: Settings, stack: Stack, on_ready: Callable[[str], None]
) -> None:
    """Run the proxy until it is told to stop. `on_ready` is called once it serves, with mitmweb's address.

    Raises:
        NotListeningError: the address could not be bound.
    """
    plane = DataPlane()
    lifecycle = Lifecycle(prepared, on_ready)
    master = masters.make_master(
        in_browser=settings.inspect,
        addons=[plane, *stack(prepared.runtime), lifecycle],
        settings=_options(settings, prepared.home),
    )
    lifecycle.master = master
    await masters.run(master, lambda: plane.busy)
    if lifecycle.failure:
        raise lifecycle.failure


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
            "web_port": free_port("127.0.0.1", WEB_PORT),
            "confdir": str(home.root / "mitmproxy"),
        }
    return chosen


class Lifecycle:
    """What has to be done when the proxy begins and stops to serve."""

    def __init__(self, prepared: Prepared, on_ready: Callable[[str], None]) -> None:
        self.master: Master | None = None
        self.failure: masters.NotListeningError | None = None
        self._prepared = prepared
        self._on_ready = on_ready
        self._state = StateFile(prepared.home.state)

    def running(self) -> None:
        assert self.master is not None
        runtime = self._prepared.runtime
        try:
            runtime.port = masters.listening_port(self.master)
        except masters.NotListeningError as e:
            self.failure = e
            self.master.shutdown()
            return
        runtime.started_at = runtime.clock.now()
        self._state.write(_state(runtime))
        self._on_ready(masters.web_url(self.master))

    def done(self) -> None:
        self._state.remove(self._prepared.runtime.pid)
        close(self._prepared.runtime)


def close(runtime: Runtime) -> None:
    """Write what is still to be written."""
    for kept in (runtime.journal, runtime.memory):
        if isinstance(kept, FileJournal | PoolMemory):
            kept.close()


def _state(runtime: Runtime) -> State:
    return State(
        admin_token=runtime.admin_token.reveal() if runtime.admin_token else "",
        pid=runtime.pid,
        pid_started=process_start(runtime.pid) or runtime.started_at,
        port=runtime.port,
        host=runtime.host,
        strategy=runtime.pool.strategy,
        start_time=runtime.started_at,
    )


class MitmScript:
    """The same stack as a plain mitmproxy script: options come by `--set`, state stays in NEUROLINK_HOME."""

    name = "neurolink"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._journal: FileJournal | None = None
        self.addons: list[object] = []

    def load(self, loader: Loader) -> None:
        loader.add_option("neurolink_config", str, "", "NeuroLink's configuration file.")
        loader.add_option("neurolink_strategy", str, "", "How an account is chosen.")
        loader.add_option(
            "neurolink_passthrough", bool, False, "Forward with the caller's own credentials."
        )

    def configure(self, updated: set[str]) -> None:
        if self.addons or not any(name.startswith("neurolink_") for name in updated):
            return
        self._take_over()
        try:
            prepared = prepare(self._settings())
        except (ConfigError, OSError) as e:
            raise exceptions.OptionsError(f"NeuroLink can't start: {e}") from e
        prepared.runtime.started_at = prepared.runtime.clock.now()
        self._runtime = prepared.runtime
        for addon in (DataPlane(), *self._stack(prepared.runtime)):
            ctx.master.addons.register(addon)
            self.addons.append(addon)

    def running(self) -> None:
        with suppress(masters.NotListeningError):
            self._runtime.port = masters.listening_port(ctx.master)

    @staticmethod
    def _take_over() -> None:
        """A pool is a reverse proxy; what the user has chosen otherwise stays."""
        options = ctx.options
        chosen: dict[str, Any] = dict(OPTIONS)
        if options.mode == ["regular"]:
            chosen["mode"] = [MODE]
        if options.listen_host == "":
            chosen["listen_host"] = DEFAULT_HOST
        if options.listen_port is None:
            chosen["listen_port"] = DEFAULT_PORT
        options.update(**chosen)

    @staticmethod
    def _settings() -> Settings:
        options = ctx.options
        return Settings(
            environ=os.environ,
            host=options.listen_host,
            port=options.listen_port or DEFAULT_PORT,
            config=Path(options.neurolink_config) if options.neurolink_config else None,
            strategy=options.neurolink_strategy or None,
            passthrough=options.neurolink_passthrough,
        )
