"""From settings and files to all that is needed to run: configuration, accounts, adapters."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.request import getproxies, proxy_bypass

from neurolink_mitm.adapters import config_file
from neurolink_mitm.adapters.env_file import EnvFileError, read_environment
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.journal import FileJournal
from neurolink_mitm.adapters.lazy_refresher import LazyRefresher
from neurolink_mitm.adapters.pool_memory import NoMemory, PoolMemory, read_cooldowns, read_quotas
from neurolink_mitm.adapters.system import SystemChance, SystemClock
from neurolink_mitm.adapters.token_store import Credentials, TokenStoreError, open_store
from neurolink_mitm.core.access import is_loopback
from neurolink_mitm.core.accounts import Account, build_pool, unused_settings
from neurolink_mitm.core.config import Config, ConfigError
from neurolink_mitm.core.pool import Pool
from neurolink_mitm.core.rotation import STRATEGIES
from neurolink_mitm.core.secret import Secret
from neurolink_mitm.core.target import Target
from neurolink_mitm.mitm.compat import check_version
from neurolink_mitm.ports import Runtime

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 55669


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
    accounts: tuple[Account, ...] | None = None
    """Serve these, whatever is stored or configured (the sandbox's)."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that is needed to run, and what the user should hear first."""

    runtime: Runtime
    home: Home
    warnings: tuple[str, ...]
    reload: Callable[[], Sequence[Account]] | None
    """Reads the accounts anew; None where they don't come from files."""


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
        environment = read_environment(settings.environ, home, settings.env_file)
        settings = replace(settings, environ=environment.values)
        store = open_store(home, settings.environ)
        credentials = store.read()
    except EnvFileError:
        raise
    except (ValueError, TokenStoreError) as e:
        raise ConfigError(str(e)) from e
    path = settings.config or home.config
    loaded = config_file.load(path, settings.environ, required=settings.config is not None)
    config = loaded.config
    _check_exposure(settings.host, config)

    def reload() -> tuple[Account, ...]:
        return _accounts(store.read(), config, settings.environ)

    told = (*warnings, *environment.warnings, *credentials.warnings, *loaded.warnings)
    config_path = str(path) if path.exists() else None
    if settings.accounts is not None:  # the sandbox's, made anew each time
        runtime = _runtime(settings, home, config, settings.accounts, config_path)
        return Prepared(runtime, home, told, None)
    accounts = _accounts(credentials, config, settings.environ)
    runtime = _runtime(settings, home, config, accounts, config_path)
    runtime.memory = PoolMemory(home.cooldowns, home.quotas)
    runtime.refresher = LazyRefresher(store, config.oauth)
    runtime.pool.restore(read_cooldowns(home.cooldowns), read_quotas(home.quotas))
    return Prepared(runtime, home, (*told, *unused_settings(config, accounts)), reload)


def _runtime(
    settings: Settings,
    home: Home,
    config: Config,
    accounts: Sequence[Account],
    config_path: str | None,
) -> Runtime:
    """One that remembers nothing and renews no token."""
    pool = Pool(
        accounts,
        _strategy(settings, config),
        affinity=config.routing.session_affinity,
        primary=config.routing.primary_account,
    )
    return Runtime(
        config=config,
        pool=pool,
        clock=SystemClock(),
        chance=SystemChance(),
        journal=FileJournal(home.logs),
        memory=NoMemory(),
        host=settings.host,
        port=settings.port,
        names=frozenset({socket.gethostname().lower()}),
        pid=os.getpid(),
        passthrough=settings.passthrough,
        admin_token=Secret(secrets.token_urlsafe(24)),
        config_path=config_path,
        environ=settings.environ,
    )


def _accounts(
    credentials: Credentials, config: Config, environ: Mapping[str, str]
) -> tuple[Account, ...]:
    key = environ.get("ANTHROPIC_API_KEY")
    pool = build_pool(config, credentials.stored, credentials.legacy, Secret(key) if key else None)
    return tuple(map(through_proxy, pool))


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
