"""From settings and files to all that is needed to run: configuration, accounts, adapters."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from neurolink_mitm.adapters.background import Closing, closing
from neurolink_mitm.adapters.bodies import FileBodies
from neurolink_mitm.adapters.cost import Spending, shipped_prices
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.journal import FileJournal
from neurolink_mitm.adapters.network import Network
from neurolink_mitm.adapters.persisted_state import (
    FileStateStore,
    NullStore,
    read_cooldowns,
    read_quotas,
)
from neurolink_mitm.adapters.refresh import Refresher, oauth_client
from neurolink_mitm.adapters.system import SystemClock, SystemRandomSource
from neurolink_mitm.adapters.token_store import TokenStore, TokenStoreError, open_store
from neurolink_mitm.adapters.translator import TranslatorProcess
from neurolink_mitm.config.apply import apply, follow
from neurolink_mitm.config.env_file import EnvFileError
from neurolink_mitm.config.sources import Inputs, SourceOptions, Sources
from neurolink_mitm.core.auth.access import is_loopback
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.providers import destinations
from neurolink_mitm.core.providers.catalog import environment_for
from neurolink_mitm.core.providers.translator import Setup, setup_for
from neurolink_mitm.core.redact.known_secrets import secrets_of
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.core.settings.values import Config, OAuth
from neurolink_mitm.core.status.metrics import Point, current_points
from neurolink_mitm.dataplane.compat import check_version
from neurolink_mitm.ports import Component, Runtime
from neurolink_mitm.telemetry.otlp import OtlpTelemetry
from neurolink_mitm.telemetry.registry import MetricRegistry
from neurolink_mitm.telemetry.setup import telemetry_setup

logger = logging.getLogger("neurolink.clock")

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 55669
HEALTH_INTERVAL = 30.0
"""Seconds between two looks at tokens that nobody uses at the moment."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a start was asked for. `environ` is the process's; `prepare` adds what the env file says."""

    environ: Mapping[str, str] = field(repr=False)
    env_file: Path | None = None
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    config: Path | None = None
    strategy: str | None = None
    passthrough: bool = False
    inspect: bool = False
    health_interval: float = HEALTH_INTERVAL
    accounts: tuple[Account, ...] | None = None
    """Serve these, whatever is stored or configured (the sandbox's)."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that is needed to run, and what the user should hear first."""

    runtime: Runtime
    home: Home
    warnings: tuple[str, ...]
    sources: Sources | None
    """The files it comes from, to be watched; None in tests."""
    health_interval: float = HEALTH_INTERVAL
    components: tuple[Component, ...] = ()
    """What requests need, in the order in which it is started."""


def prepare(settings: Settings) -> Prepared:
    """Read the configuration and the accounts; nothing is served yet.

    Raises:
        ConfigError: with every fault.
        EnvFileError: in one line.
        OSError: the home directory can't be made.
    """
    check_version()
    try:
        home = Home.from_environment(settings.environ)
        warnings = home.create()
        store = open_store(home, settings.environ)
        sources = Sources(_named(settings, home), home, store)
        inputs = sources.read()
        _check_exposure(settings.host, inputs)
    except (ConfigError, EnvFileError):
        raise
    except (ValueError, TokenStoreError) as e:
        raise ConfigError(str(e)) from e
    journal, registry, clock = FileJournal(home.logs), MetricRegistry(), SystemClock()
    runtime = _runtime(settings, clock, journal, registry)
    apply(runtime, inputs)
    bodies = FileBodies(home.logs, journal, secrets=_known_secrets(runtime))
    runtime.bodies = bodies
    runtime.translator = translator = _translator(runtime, home, sources)
    telemetry = _telemetry(runtime, registry)
    components = (
        closing(telemetry.close, telemetry.start), closing(journal.close), closing(bodies.close), translator
    )  # fmt: skip
    told = (*warnings, *inputs.warnings, *telemetry.faults)
    if settings.accounts is not None:  # the sandbox's, made anew each time
        return Prepared(runtime, home, told, sources, settings.health_interval, components)
    runtime.state_store = memory = FileStateStore(home.cooldowns, home.quotas)
    runtime.refresher = refresher = _refresher(runtime, store, sources)
    runtime.spending = spending = Spending(home.spend, runtime.pool.budget, runtime.clock.now())
    known = read_cooldowns(home.cooldowns)
    runtime.pool.restore(known, read_quotas(home.quotas), runtime.clock.now())
    restored = runtime.pool.cooldowns()
    if any(known.get(key) != kept for key, kept in restored.items()):
        runtime.state_store.cooldowns(restored)  # else each restart would begin them anew
    _follow_clock(runtime, clock, spending)
    files = closing(spending.close), closing(memory.close), Closing(refresher.close)
    return Prepared(runtime, home, told, sources, settings.health_interval, (*files, *components))


def _named(settings: Settings, home: Home) -> SourceOptions:
    return SourceOptions(
        environ=settings.environ,
        env_file=settings.env_file,
        config=settings.config,
        strategy=settings.strategy,
        accounts=settings.accounts,
        roots=home.authorities,
    )


def _runtime(
    settings: Settings, clock: SystemClock, journal: FileJournal, metrics: MetricRegistry
) -> Runtime:
    """Return one without configuration, which serves no account, remembers nothing and renews no token."""
    return Runtime(
        config=Config(),
        pool=Pool(()),
        clock=clock,
        random_source=SystemRandomSource(),
        journal=journal,
        state_store=NullStore(),
        metrics=metrics,
        host=settings.host,
        port=settings.port,
        names=frozenset({socket.gethostname().lower()}),
        pid=os.getpid(),
        passthrough=settings.passthrough,
        admin_token=Secret(secrets.token_urlsafe(24)),
        prices=shipped_prices(),
    )


def _known_secrets(runtime: Runtime) -> Callable[[], Iterable[Secret]]:
    """Follows the pool, and the configuration with its environment, in which they are looked for once."""
    configured: list[Secret] = []

    def read(config: Config) -> None:
        admin = (runtime.admin_token,) if runtime.admin_token else ()
        configured[:] = (*admin, *secrets_of(config, (), runtime.environ))

    follow(runtime, read)
    return lambda: (*configured, *(each.secret for each in runtime.pool.accounts))


def _follow_clock(runtime: Runtime, clock: SystemClock, spending: Spending) -> None:
    """A clock that is set back makes no cooldown, and no day of spending, last longer."""

    def set_back(by: float) -> None:
        logger.warning("the clock was set back by %.0f s: cooldowns end as they would have", -by)
        runtime.pool.clock_moved(by)
        runtime.started_at += by
        spending.clock_moved(by)
        runtime.state_store.cooldowns(runtime.pool.cooldowns())

    clock.set_back.append(set_back)


def _telemetry(runtime: Runtime, registry: MetricRegistry) -> OtlpTelemetry:
    """Follows the environment, `.env` included; off where it names no collector."""
    runtime.lag.histogram = lambda ms: registry.record((Point("proxy_loop_lag_ms", ms),))
    telemetry = OtlpTelemetry(
        telemetry_setup(runtime.environ), registry, lambda: current_points(runtime, time.time())
    )
    runtime.telemetry = telemetry
    follow(runtime, lambda _: telemetry.configure(telemetry_setup(runtime.environ)))
    return telemetry


def _refresher(runtime: Runtime, store: TokenStore, sources: Sources) -> Refresher:
    """Follows the oauth section and the way to the network."""
    refresher = Refresher(store, partial(oauth_client, OAuth()), SystemClock())
    follow(
        runtime,
        lambda config: refresher.reconnect(partial(oauth_client, config.oauth, sources.network)),
    )
    return refresher


def _translator(runtime: Runtime, home: Home, sources: Sources) -> TranslatorProcess:
    """Follows the configuration; not started yet."""
    secret = secrets.token_urlsafe(24)

    def told() -> tuple[Setup, Mapping[str, str]]:
        return _for_translator(runtime, secret, sources.network)

    def wanted() -> bool:
        """Where a model of another provider that can be asked is named; passed through is to Anthropic only."""
        others = runtime.pool.fallbacks
        return not runtime.passthrough and any(e.model and not e.disabled for e in others)

    translator = TranslatorProcess(home.logs / "translator.log", *told(), wanted)
    follow(runtime, lambda _: translator.configure(*told()))
    return translator


def _for_translator(
    runtime: Runtime, secret: str, network: Network
) -> tuple[Setup, Mapping[str, str]]:
    config, environ = runtime.config, runtime.environ
    named = destinations.wanted(config) | {destinations.VERTEX}
    variables = environment_for(named, environ) | network.environment()
    return setup_for(named, config.providers, environ, secret), variables


def _check_exposure(host: str, inputs: Inputs) -> None:
    """Whoever can reach the port can spend the accounts: beyond loopback callers must show a key."""
    if not is_loopback(host) and not inputs.config.clients.api_keys and not inputs.clients:
        raise ConfigError(
            f"clients.api-keys: must be set to listen on {host or 'all addresses'}, or a key made by"
            " `neurolink clients add NAME`: anyone who can reach it could spend your accounts"
        )
