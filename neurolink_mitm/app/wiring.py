"""Builds the runtime and its components from settings and files."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from neurolink_mitm.adapters.background import Closing, closing
from neurolink_mitm.adapters.bodies import FileBodies
from neurolink_mitm.adapters.cost import Spending, shipped_prices
from neurolink_mitm.adapters.files import ABANDONED, remove_temporaries
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.journal import FileJournal
from neurolink_mitm.adapters.persisted_state import (
    FileStateStore,
    NullStore,
    read_cooldowns,
    read_quotas,
)
from neurolink_mitm.adapters.refresh import Refresher, oauth_client
from neurolink_mitm.adapters.system import SystemClock, SystemRandomSource
from neurolink_mitm.adapters.token_store import TokenStore, TokenStoreError, open_store
from neurolink_mitm.adapters.window_history import WindowHistory, read_history
from neurolink_mitm.app.cluster import set_cluster, sync_home
from neurolink_mitm.app.doctor import set_doctor
from neurolink_mitm.app.translator import set_translator
from neurolink_mitm.config.apply import apply, follow
from neurolink_mitm.config.env_file import EnvFileError
from neurolink_mitm.config.sources import Inputs, SourceOptions, Sources
from neurolink_mitm.core.auth.loopback import is_loopback
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.redact.known_secrets import secrets_of
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.core.settings.notify import Notify
from neurolink_mitm.core.settings.values import Config, OAuth
from neurolink_mitm.core.status.listening import exposure
from neurolink_mitm.core.status.metrics import Point, current_points
from neurolink_mitm.dashboard import Dashboard
from neurolink_mitm.dashboard.site import Site
from neurolink_mitm.dataplane.compat import check_version
from neurolink_mitm.dataplane.upstreams.shared import Upstreams
from neurolink_mitm.dataplane.upstreams.tls import UpstreamTrust
from neurolink_mitm.notices.channels import Channel, channels_of
from neurolink_mitm.notices.notifier import Notifier
from neurolink_mitm.ports import Component, Runtime
from neurolink_mitm.telemetry.otlp import OtlpTelemetry
from neurolink_mitm.telemetry.registry import MetricRegistry
from neurolink_mitm.telemetry.setup import telemetry_setup

logger = logging.getLogger("neurolink.clock")

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 55669
HEALTH_INTERVAL = 30.0
"""Seconds between two checks of tokens that no request uses."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of a start. `environ` is the process's, without the variables of the env file."""

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
    """The sandbox's accounts, served in place of the stored and configured ones."""
    say: Callable[[str], object] | None = None
    """As `Runtime.say`."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A runtime with its components, ready to be started, and the warnings to print first."""

    runtime: Runtime
    home: Home
    warnings: tuple[str, ...]
    sources: Sources | None
    """The files to watch for a reload; None in tests."""
    health_interval: float = HEALTH_INTERVAL
    components: tuple[Component, ...] = ()
    """In the order of their start."""
    upstreams: Upstreams = field(default_factory=lambda: Upstreams(UpstreamTrust()))
    """The connections that the data plane and the refresher share."""


def prepare(settings: Settings) -> Prepared:
    """Read the configuration and the accounts, and build all that serves them.

    Raises:
        ConfigError: lists every fault.
        EnvFileError: the env file can't be read.
        OSError: the home directory can't be made.
    """
    check_version()
    home, store, sources, inputs, warnings = _read(settings)
    clock, journal, registry = SystemClock(), FileJournal(home.logs), MetricRegistry()
    runtime = _runtime(settings, clock, journal, registry)
    apply(runtime, inputs)
    runtime.upstreams = upstreams = Upstreams(UpstreamTrust())
    telemetry = _telemetry(runtime, registry)
    components: tuple[Component, ...] = (
        closing(telemetry.close, telemetry.start), closing(journal.close),
        _bodies(runtime, home, journal), set_translator(runtime, home, sources),
    )  # fmt: skip
    if settings.accounts is None:  # the sandbox makes its accounts anew at each start
        state = *_state(runtime, home, clock), _refresher(runtime, store, sources, upstreams)
        components = (*state, set_cluster(runtime, sources), *components)
    else:
        spending = Spending(home.spend, runtime.pool.budget, clock.now(), paid=False)
        runtime.spending = spending
        components = (closing(spending.close), *components)
    remembered = home if settings.accounts is None else None
    components = (
        *components,
        _notices(runtime, remembered, sources),
        _dashboard(runtime, home, settings, sources),
    )
    exposed = exposure(settings.host, inputs.certificate, inputs.config.listen.hosts)
    warnings = (*warnings, *exposed, *inputs.warnings, *telemetry.faults)
    interval = settings.health_interval
    return Prepared(runtime, home, warnings, sources, interval, components, upstreams)


class _Read(NamedTuple):
    """What was read of the files of a home."""

    home: Home
    store: TokenStore
    sources: Sources
    inputs: Inputs
    warnings: tuple[str, ...]


def _read(settings: Settings) -> _Read:
    """Read the home, which is made if it is missing. Raises as `prepare` does."""
    with _config_errors():
        home = Home.from_environment(settings.environ)
        warnings = tuple(home.create())
        for path in home.rewritten():
            remove_temporaries(path, older=ABANDONED)
        store = open_store(home, settings.environ)
        sources = Sources(_source_options(settings, home), home, store)
        inputs = sources.read()
        if inputs.config.cluster and settings.accounts is None:
            sync_home(inputs.config.cluster, inputs.network, sources)
            inputs = sources.read()
        _check_exposure(settings.host, inputs)
    return _Read(home, store, sources, inputs, warnings)


@contextmanager
def _config_errors() -> Iterator[None]:
    try:
        yield
    except (ConfigError, EnvFileError):
        raise
    except (ValueError, TokenStoreError) as e:
        raise ConfigError(str(e)) from e


def _source_options(settings: Settings, home: Home) -> SourceOptions:
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
    """Return a runtime with the default configuration, no accounts and no components."""
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
        say=settings.say,
    )


def _bodies(runtime: Runtime, home: Home, journal: FileJournal) -> Component:
    """Set the writer of captured bodies. It masks the accounts' secrets and those of the configuration."""
    configured: list[Secret] = []

    def read(config: Config) -> None:
        admin = (runtime.admin_token,) if runtime.admin_token else ()
        configured[:] = (*admin, *secrets_of(config, (), runtime.environ))

    def masked() -> Iterable[Secret]:
        return (*configured, *(account.secret for account in runtime.pool.accounts))

    follow(runtime, read)
    runtime.bodies = bodies = FileBodies(home.logs, journal, secrets=masked)
    return closing(bodies.close)


def _state(runtime: Runtime, home: Home, clock: SystemClock) -> tuple[Component, ...]:
    """Set the stores of persisted state, and restore cooldowns, quotas and the use of windows from their files."""
    runtime.state_store = store = FileStateStore(home.cooldowns, home.quotas)
    runtime.spending = spending = Spending(home.spend, runtime.pool.budget, runtime.clock.now())
    persisted = read_cooldowns(home.cooldowns)
    runtime.window_history = history = WindowHistory(home.windows)
    readings = read_history(home.windows)
    runtime.pool.restore(persisted, read_quotas(home.quotas), runtime.clock.now(), readings)
    restored = runtime.pool.cooldowns()
    if any(persisted.get(key) != cooldown for key, cooldown in restored.items()):
        store.cooldowns(restored)  # else each restart would begin them anew
    _follow_clock(runtime, clock, spending)
    return closing(spending.close), closing(store.close), closing(history.close)


def _follow_clock(runtime: Runtime, clock: SystemClock, spending: Spending) -> None:
    """Shift cooldowns and spending where the clock is set back, so that they last no longer."""

    def set_back(by: float) -> None:
        logger.warning("the clock was set back by %.0f s: cooldowns end as they would have", -by)
        runtime.pool.clock_moved(by)
        runtime.started_at += by
        spending.clock_moved(by)
        runtime.state_store.cooldowns(runtime.pool.cooldowns())

    clock.set_back.append(set_back)


def _telemetry(runtime: Runtime, registry: MetricRegistry) -> OtlpTelemetry:
    """Set the OTLP export. It follows the environment, and is off where that names no collector."""
    runtime.lag.histogram = lambda ms: registry.record((Point("proxy_loop_lag_ms", ms),))
    telemetry = OtlpTelemetry(
        telemetry_setup(runtime.environ),
        registry,
        lambda: current_points(runtime, time.time()),
        lambda: runtime.cluster.name if runtime.cluster else None,
    )
    runtime.telemetry = telemetry
    follow(runtime, lambda _: telemetry.configure(telemetry_setup(runtime.environ)))
    return telemetry


def _refresher(
    runtime: Runtime, store: TokenStore, sources: Sources, upstreams: Upstreams
) -> Component:
    """Set the refresher. It follows the oauth section and the network's settings."""
    runtime.refresher = refresher = Refresher(store, partial(oauth_client, OAuth()), SystemClock())

    def reconnect(config: Config) -> None:
        refresher.reconnect(partial(oauth_client, config.oauth, sources.network, upstreams))

    follow(runtime, reconnect)
    return Closing(refresher.close)


def _notices(runtime: Runtime, home: Home | None, sources: Sources) -> Notifier:
    """Set the notices, which follow the configuration; without a `home`, a restart forgets what was told."""

    def channels(notify: Notify) -> tuple[Channel, ...]:
        return channels_of(notify, runtime.environ, sources.network)

    notifier = Notifier(runtime, home.notices if home else None, channels)
    runtime.notices = notifier
    follow(runtime, notifier.configure)
    return notifier


def _dashboard(runtime: Runtime, home: Home, settings: Settings, sources: Sources) -> Dashboard:
    """Set the dashboard, which follows the configuration."""
    site = Site(
        runtime,
        home,
        network=lambda: sources.network,
        any_port=settings.port == 0,
        open_store=lambda: open_store(home, settings.environ),
        serves_home=settings.accounts is None,
        options=_source_options(settings, home),
    )
    set_doctor(site, settings.environ, settings.env_file)
    runtime.dashboard = dashboard = Dashboard(site)
    follow(runtime, dashboard.configure)
    return dashboard


def _check_exposure(host: str, inputs: Inputs) -> None:
    """Require client keys beyond loopback: whoever can reach the port can spend the accounts."""
    if not is_loopback(host) and not inputs.config.clients.api_keys and not inputs.clients:
        raise ConfigError(
            f"clients.api-keys: must be set to listen on {host or 'all addresses'}, or a key made by"
            " `neurolink clients add NAME`: anyone who can reach it could spend your accounts"
        )
