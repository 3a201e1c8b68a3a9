"""Gathers the facts for the doctor. Nothing is changed, and what can't be found out is left out with its reason."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from neurolink_mitm.adapters.files import read
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.network import Network, bundle_of, read_network
from neurolink_mitm.adapters.probe import probe_upstream
from neurolink_mitm.adapters.state_file import ProxyState, StateFile, process_start
from neurolink_mitm.adapters.token_store import TokenStoreError, open_store
from neurolink_mitm.claude_code.settings import ClaudeSettings, SettingsError, settings_path
from neurolink_mitm.config import file as config_file
from neurolink_mitm.config.env_file import EnvFileError, read_environment
from neurolink_mitm.core.auth.access import is_loopback
from neurolink_mitm.core.pool.accounts import Account, build_pool
from neurolink_mitm.core.providers.destinations import entries
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.core.status.probe_results import (
    ConfigProbe,
    FileProbe,
    OtherProxy,
    ProbeResults,
    ProxyProbe,
    SettingsProbe,
    UpstreamProbe,
)
from neurolink_mitm.doctor.probes import answers, probe_port, run_with_deadline
from neurolink_mitm.doctor.request_path import BASE_URL, WATCHED
from neurolink_mitm.service.manager import service_state

DEFAULT_PORT = 55669
LIMIT = 12.0
"""Seconds for all that is slow together."""

Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ProbeContext:
    """Where to look, and how to ask a proxy that runs. `home` is None where the environment names none."""

    environ: Mapping[str, str]
    home: Home | None
    now: float
    ask: Callable[[ProxyState], Status | None]
    config: Path | None = None
    env_file: Path | None = None
    port: int | None = None
    limit: float = LIMIT
    skew: Callable[[str, Network, str | None], float | None] = lambda *asked: None


@dataclass(frozen=True, slots=True)
class HomeContents:
    """What of this home can be read."""

    config: Config
    configuration: ConfigProbe | None = None
    accounts: tuple[Account, ...] | None = None
    tokens_fault: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """With what `.env` adds."""
    network: Network = field(default_factory=Network)


def run_probes(look: ProbeContext) -> ProbeResults:
    known = read_home(look)
    ways = _ways(known)
    state = StateFile(look.home.state).read() if look.home else None
    jobs: dict[str, Callable[[], Any]] = {
        "the proxy": lambda: _proxy(look, state),
        "Claude Code's settings": lambda: claude_settings(look.environ),
        "the service": lambda: service_state(look.environ),
        **{
            name: _reaching(*diagnose_request_path, known.network)
            for name, diagnose_request_path in ways.items()
        },
    }
    if ways:
        first = next(iter(ways.values()))
        jobs["the clock"] = lambda: look.skew(first[0], known.network, first[1])
    done, unchecked = run_with_deadline(jobs, look.limit)
    return ProbeResults(
        now=look.now,
        python=sys.version_info[:3],
        mitmproxy=_version("mitmproxy"),
        home=_home(look.home),
        files=tuple(_files(look.home, known.tokens_fault)) if look.home else (),
        config=known.configuration,
        accounts=known.accounts,
        skew=_skew(done),
        proxy=done.get("the proxy"),
        settings=done.get("Claude Code's settings"),
        environment={name: look.environ[name] for name in WATCHED if look.environ.get(name)},
        upstreams=tuple(done[name] for name in ways if name in done),
        fallback=tuple(_fallback(known)),
        service=done.get("the service"),
        disk_free=_disk_free(look.home),
        leftovers=tuple(_leftovers(look.home)) if look.home else (),
        unchecked=unchecked,
    )


def read_home(look: ProbeContext) -> HomeContents:
    """Configuration and accounts, as far as they can be read."""
    if look.home is None:
        return HomeContents(Config())
    environ, warnings, faults = _environment(look, look.home)
    config, configuration = _configuration(look, look.home, environ)
    configuration = replace(
        configuration,
        faults=(*faults, *configuration.faults),
        warnings=(*warnings, *configuration.warnings),
    )
    network, wrong = _network(config, look.config or look.home.config, environ)
    configuration = replace(
        configuration,
        faults=(*configuration.faults, *wrong),
        warnings=(*configuration.warnings, *network.warnings),
    )
    try:
        credentials = open_store(look.home, look.environ).read()
    except TokenStoreError as e:
        return HomeContents(config, configuration, None, str(e), environ, network)
    key = environ.get("ANTHROPIC_API_KEY")
    pool = build_pool(config, credentials.stored, credentials.legacy, Secret(key) if key else None)
    if configuration.faults:  # the accounts that it lists are not known
        return HomeContents(config, configuration, pool or None, None, environ, network)
    return HomeContents(config, configuration, pool, None, environ, network)


Environ = Mapping[str, str]


def _environment(
    look: ProbeContext, home: Home
) -> tuple[Environ, tuple[str, ...], tuple[str, ...]]:
    """With what `.env` adds, its warnings, and what is wrong with it."""
    try:
        found = read_environment(look.environ, home, look.env_file)
    except EnvFileError as e:
        return look.environ, (), (str(e),)
    return found.values, found.warnings, ()


def _configuration(look: ProbeContext, home: Home, environ: Environ) -> tuple[Config, ConfigProbe]:
    path = look.config or home.config
    try:
        loaded = config_file.load(path, environ, required=look.config is not None)
    except ConfigError as e:
        return Config(), ConfigProbe(str(path), True, faults=e.faults)
    return loaded.config, ConfigProbe(str(path), path.exists(), warnings=loaded.warnings)


def _network(config: Config, path: Path, environ: Environ) -> tuple[Network, tuple[str, ...]]:
    """And what is wrong with the configuration's part of it."""
    try:
        return read_network(environ, bundle_of(config, path.parent)), ()
    except ConfigError as e:
        return read_network(environ), e.faults


def _home(home: Home | None) -> FileProbe | None:
    if home is None:
        return None
    place = _place(home.root)
    if place.mode is None or place.fault:
        return place
    if not home.root.is_dir():
        return FileProbe(place.path, place.mode, "is not a directory")
    if not os.access(home.root, os.R_OK | os.W_OK | os.X_OK):
        return FileProbe(place.path, place.mode, "you may not read and write it")
    return place


def _files(home: Home, tokens_fault: str | None) -> Iterator[FileProbe]:
    """Those that are to be readable by their owner only."""
    for path in (
        home.legacy_credentials, home.state, home.quotas, home.cooldowns, home.claude_settings,
        home.clients, home.spend,
    ):  # fmt: skip
        yield _checked(path)
    tokens = _place(home.tokens)
    yield FileProbe(tokens.path, tokens.mode, tokens_fault or tokens.fault)
    yield _place(home.env)
    yield from (_place(path) for path in _listed(home.logs, "*.jsonl"))


def _checked(path: Path) -> FileProbe:
    """With a look into it."""
    place = _place(path)
    if place.mode is None or place.fault:
        return place
    try:
        json.loads(read(path) or b"")
    except OSError as e:
        return FileProbe(place.path, place.mode, f"can't be read: {e.strerror}")
    except (ValueError, RecursionError):
        return FileProbe(place.path, place.mode, "is no JSON")
    return place


def _place(path: Path) -> FileProbe:
    try:
        return FileProbe(str(path), stat.S_IMODE(path.stat().st_mode))
    except FileNotFoundError:
        return FileProbe(str(path))
    except OSError as e:
        return FileProbe(str(path), fault=e.strerror or "can't be looked at")


def _proxy(look: ProbeContext, state: ProxyState | None) -> ProxyProbe:
    """With what the proxy itself says, or who else has its port."""
    found = proxy_of(state, look.port)
    if state is not None and found.alive:
        return replace(
            found,
            status=look.ask(state),
            detached=_detached(look, state),
            others=tuple(_others(look, state)),
        )
    return replace(found, port_owner=probe_port("127.0.0.1", found.port))


def _others(look: ProbeContext, state: ProxyState) -> Iterator[OtherProxy]:
    if look.home:
        for each in StateFile(look.home.state).running():
            if each.pid != state.pid:
                yield OtherProxy(each.url, each.pid, each.program)


def _detached(look: ProbeContext, state: ProxyState) -> str | None:
    """Why Claude Code is detached from it, if it is."""
    with suppress(SettingsError):
        entry = ClaudeSettings(look.home.claude_settings).entry(state.pid) if look.home else None
        return entry.away.why if entry and entry.away else None
    return None


def proxy_of(state: ProxyState | None, port: int | None = None) -> ProxyProbe:
    """What the state file says, compared with the processes that run."""
    if state is None:
        return ProxyProbe(port or DEFAULT_PORT)
    guard = state.guard_pid
    return ProxyProbe(
        port=port or state.port,
        pid=state.pid,
        alive=state.alive,
        url=state.url,
        guard_pid=guard,
        guard_alive=guard is not None and process_start(guard) is not None,
    )


def claude_settings(environ: Mapping[str, str]) -> SettingsProbe | None:
    """None where the environment does not say where Claude Code keeps them."""
    path = settings_path(environ)
    if path is None:
        return None
    try:
        data = read(path)
        if data is None:
            return SettingsProbe(str(path))
        document = json.loads(data)
    except json.JSONDecodeError as e:
        return SettingsProbe(str(path), True, f"is no JSON: {e}")
    except (OSError, ValueError, RecursionError) as e:
        said = e.strerror if isinstance(e, OSError) else "is no JSON"
        return SettingsProbe(str(path), True, said)
    if not isinstance(document, dict) or not isinstance(document.get("env", {}), dict):
        return SettingsProbe(str(path), True, "is no object with an object `env` in it")
    env = {name: str(document["env"][name]) for name in WATCHED if name in document.get("env", {})}
    return SettingsProbe(str(path), True, None, env, _answered(env.get(BASE_URL, "")))


def _answered(url: str) -> bool | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or not is_loopback(host):
        return None
    return answers(host, port or (443 if parts.scheme == "https" else 80))


def _ways(known: HomeContents) -> dict[str, tuple[str, str | None]]:
    """Each base URL with each `proxyUrl` once, by a name for the check."""
    config = known.config
    asked = [(a.base_url, a.proxy_url) for a in known.accounts or () if a.enabled]
    asked = asked or [(config.default_base_url, None)]
    asked += [(p.base_url, None) for p in config.providers.values() if p.base_url]
    distinct = dict.fromkeys(asked)
    return {f"{url} ({n})" if n else url: (url, own) for n, (url, own) in enumerate(distinct)}


def _fallback(known: HomeContents) -> Iterator[Mapping[str, object]]:
    """As far as they can be told without asking: whether there is a key."""
    for entry in entries(known.config, known.environ):
        if entry.model:
            lacking = entry.disabled
            yield {
                "provider": entry.provider,
                "model": entry.model,
                "usable": not lacking,
                "reason": lacking,
            }


def _reaching(url: str, own: str | None, network: Network) -> Callable[[], UpstreamProbe]:
    return lambda: probe_upstream(url, network, own)


def _skew(done: Mapping[str, Any]) -> float | None:
    """What the running proxy has seen, else what was measured now."""
    proxy: ProxyProbe | None = done.get("the proxy")
    known = proxy.status.get("clockSkew") if proxy and proxy.status else None
    found: float | None = known if isinstance(known, int | float) else done.get("the clock")
    return found


def _disk_free(home: Home | None) -> int | None:
    if home is None:
        return None
    for place in (home.root, *home.root.parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:
            continue
    return None


def _leftovers(home: Home) -> Iterable[str]:
    return sorted(
        path.name for pattern in ("*.corrupt-*", ".*.tmp") for path in _listed(home.root, pattern)
    )


def _listed(directory: Path, pattern: str) -> list[Path]:
    try:
        return sorted(directory.glob(pattern))
    except OSError:
        return []


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
