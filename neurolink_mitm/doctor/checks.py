"""Runs the doctor's probes. They change nothing; a probe that fails is left out, with the reason."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from neurolink_mitm.adapters.certificate import CertificateError, read_certificate
from neurolink_mitm.adapters.cluster_key import ClusterKeyError, key_path, read_cluster_key
from neurolink_mitm.adapters.files import read
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.network import Network, bundle_of, read_network
from neurolink_mitm.adapters.pause_file import PauseFileError, read_pauses
from neurolink_mitm.adapters.probe import probe_upstream
from neurolink_mitm.adapters.provider_needs import unfit_providers
from neurolink_mitm.adapters.state_file import ProxyState, StateFile, process_start
from neurolink_mitm.adapters.system import missing_for_cluster
from neurolink_mitm.adapters.token_store import TokenStoreError, open_store
from neurolink_mitm.claude_code.settings import ClaudeSettings, SettingsError, settings_path
from neurolink_mitm.config import file as config_file
from neurolink_mitm.config.env_file import EnvFileError, read_environment
from neurolink_mitm.core.auth.loopback import is_loopback
from neurolink_mitm.core.pool.accounts import Account, build_pool, with_pauses
from neurolink_mitm.core.providers.destinations import asked_providers, entries
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.cluster import Cluster
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.core.status.listening import exposure
from neurolink_mitm.core.status.other_tools import other_tools
from neurolink_mitm.core.status.probe_results import (
    ConfigProbe,
    NoticesProbe,
    OtherProxy,
    ProbeResults,
    ProxyProbe,
    SettingsProbe,
    UpstreamProbe,
)
from neurolink_mitm.doctor.file_probes import disk_free, leftovers, probe_files, probe_home
from neurolink_mitm.doctor.probes import answers, probe_port, run_with_deadline
from neurolink_mitm.doctor.request_path import BASE_URL, WATCHED
from neurolink_mitm.notices.desktop import has_desktop
from neurolink_mitm.service.manager import service_state

DEFAULT_PORT = 55669
"""Port to look at if there is no state file."""
LIMIT = 12.0
"""Seconds for all slow probes together."""

Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ProbeContext:
    """What the probes need. `home` is None if the environment names none; `ask` gets `/status` of a running proxy."""

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
    """Configuration and accounts of a home, as far as they can be read."""

    config: Config
    configuration: ConfigProbe | None = None
    accounts: tuple[Account, ...] | None = None
    tokens_fault: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The environment and `.env`."""
    network: Network = field(default_factory=Network)


def run_probes(context: ProbeContext) -> ProbeResults:
    """Run all probes, the slow ones beside each other within `context.limit` seconds."""
    home, contents = context.home, read_home(context)
    routes = _routes(contents)
    state = StateFile(home.state).read() if home else None
    jobs: dict[str, Callable[[], Any]] = {
        "the proxy": lambda: _proxy(context, state),
        "Claude Code's settings": lambda: claude_settings(context.environ),
        "the service": lambda: service_state(context.environ),
        **{name: _upstream_probe(*route, contents.network) for name, route in routes.items()},
    }
    if cluster := contents.config.cluster:
        jobs["the cluster"] = lambda: _cluster(cluster, contents.network)
    if routes:
        url, proxy_url = next(iter(routes.values()))
        jobs["the clock"] = lambda: context.skew(url, contents.network, proxy_url)
    done, unchecked = run_with_deadline(jobs, context.limit)
    return ProbeResults(
        now=context.now,
        python=sys.version_info[:3],
        mitmproxy=_version("mitmproxy"),
        home=probe_home(home),
        files=tuple(probe_files(home, contents.tokens_fault)) if home else (),
        config=contents.configuration,
        accounts=contents.accounts,
        skew=_skew(done),
        proxy=done.get("the proxy"),
        settings=done.get("Claude Code's settings"),
        environment={name: value for name in WATCHED if (value := context.environ.get(name))},
        upstreams=tuple(done[name] for name in routes if name in done),
        fallback=tuple(_fallback(contents)),
        other_tools=_other_tools(contents, context.now),
        notices=_notices(contents),
        service=done.get("the service"),
        cluster=_reported_cluster(done),
        disk_free=disk_free(home),
        leftovers=tuple(leftovers(home)) if home else (),
        unchecked=unchecked,
    )


def read_home(context: ProbeContext) -> HomeContents:
    """Return configuration and accounts, as far as they can be read."""
    if context.home is None:
        return HomeContents(Config())
    environ, warnings, faults = _environment(context, context.home)
    config, configuration = _configuration(context, context.home, environ)
    path = context.config or context.home.config
    network, network_faults = _network(config, path, environ)
    tls_faults, tls_warnings = _certificate(config, path, context.now)
    cluster_faults = _cluster_faults(config, path, context.home)
    configuration = replace(
        configuration,
        faults=(*faults, *configuration.faults, *network_faults, *tls_faults, *cluster_faults),
        warnings=(*warnings, *configuration.warnings, *network.warnings, *tls_warnings),
    )
    contents = HomeContents(config, configuration, environ=environ, network=network)
    try:
        credentials = open_store(context.home, context.environ).read()
    except TokenStoreError as e:
        return replace(contents, tokens_fault=str(e))
    key = environ.get("ANTHROPIC_API_KEY")
    pool = build_pool(config, credentials.stored, credentials.legacy, Secret(key) if key else None)
    with suppress(PauseFileError):  # told by the probe of files
        pool = with_pauses(pool, read_pauses(context.home.pauses))
    # a faulty configuration does not tell which accounts there are
    return replace(contents, accounts=(pool or None) if configuration.faults else pool)


Environ = Mapping[str, str]


def _environment(
    context: ProbeContext, home: Home
) -> tuple[Environ, tuple[str, ...], tuple[str, ...]]:
    """Return the environment and `.env`, the warnings of `.env`, and its faults."""
    try:
        environment = read_environment(context.environ, home, context.env_file)
    except EnvFileError as e:
        return context.environ, (), (str(e),)
    return environment.values, environment.warnings, ()


def _configuration(
    context: ProbeContext, home: Home, environ: Environ
) -> tuple[Config, ConfigProbe]:
    path = context.config or home.config
    try:
        loaded = config_file.load(path, environ, required=context.config is not None)
    except ConfigError as e:
        return Config(), ConfigProbe(str(path), True, faults=e.faults)
    return loaded.config, ConfigProbe(str(path), path.exists(), warnings=loaded.warnings)


def _network(config: Config, path: Path, environ: Environ) -> tuple[Network, tuple[str, ...]]:
    """Return the network, and the faults of the configuration's part of it."""
    try:
        return read_network(environ, bundle_of(config, path.parent)), ()
    except ConfigError as e:
        return read_network(environ), e.faults


def _cluster_faults(config: Config, path: Path, home: Home) -> tuple[str, ...]:
    """Return what a start would refuse: packages that are missing, or the key."""
    if config.cluster is None:
        return ()
    if missing := missing_for_cluster():
        return (f"cluster: {missing}",)
    try:
        read_cluster_key(key_path(config.cluster, path, home))
    except ClusterKeyError as e:
        return (f"cluster.key-file: {e}",)
    return ()


def _certificate(config: Config, path: Path, now: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the faults and the warnings of the certificate for callers."""
    try:
        certificate = read_certificate(config.listen, path.parent, now)
    except CertificateError as e:
        return e.faults, ()
    if certificate is None:
        return (), ()
    uncovered = exposure("", certificate, config.listen.hosts)
    return (), (*certificate.warnings, *uncovered)


def _proxy(context: ProbeContext, state: ProxyState | None) -> ProxyProbe:
    """Probe the proxy: its `/status`, or the owner of its port."""
    probe = proxy_of(state, context.port)
    if state is not None and probe.alive:
        return replace(
            probe,
            status=context.ask(state),
            detached=_detached(context, state),
            others=tuple(_others(context, state)),
        )
    return replace(probe, port_owner=probe_port("127.0.0.1", probe.port))


def _others(context: ProbeContext, state: ProxyState) -> Iterator[OtherProxy]:
    if context.home:
        for each in StateFile(context.home.state).running():
            if each.pid != state.pid:
                yield OtherProxy(each.caller_url, each.pid, each.program)


def _detached(context: ProbeContext, state: ProxyState) -> str | None:
    """Return why Claude Code is detached from the proxy of `state`; None if it is not."""
    with suppress(SettingsError):
        entry = (
            ClaudeSettings(context.home.claude_settings).entry(state.pid) if context.home else None
        )
        return entry.away.why if entry and entry.away else None
    return None


def proxy_of(state: ProxyState | None, port: int | None = None) -> ProxyProbe:
    """Return the proxy of the state file, and which of its processes run."""
    if state is None:
        return ProxyProbe(port or DEFAULT_PORT)
    guard = state.guard_pid
    return ProxyProbe(
        port=port or state.port,
        pid=state.pid,
        alive=state.alive,
        url=state.caller_url,
        guard_pid=guard,
        guard_alive=guard is not None and process_start(guard) is not None,
    )


def claude_settings(environ: Mapping[str, str]) -> SettingsProbe | None:
    """Probe Claude Code's settings; None if the environment does not say where they are."""
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
        fault = e.strerror if isinstance(e, OSError) else "is no JSON"
        return SettingsProbe(str(path), True, fault)
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


def _routes(contents: HomeContents) -> dict[str, tuple[str, str | None]]:
    """Return each pair of base URL and `proxyUrl` once, by a name for its probe."""
    config = contents.config
    asked = [(a.base_url, a.proxy_url) for a in contents.accounts or () if a.enabled]
    asked = asked or [(config.default_base_url, None)]
    asked += [(p.base_url, None) for p in config.providers.values() if p.base_url]
    distinct = dict.fromkeys(asked)
    return {f"{url} ({n})" if n else url: (url, own) for n, (url, own) in enumerate(distinct)}


def _entries(contents: HomeContents) -> tuple[Account, ...]:
    """Return the models of other providers; one is usable if its key is there."""
    unfit = unfit_providers(asked_providers(contents.config), contents.environ)
    return entries(contents.config, contents.environ, unfit)


def _other_tools(contents: HomeContents, now: float) -> str | None:
    if contents.accounts is None:
        return None
    return other_tools(contents.accounts, _entries(contents), contents.config.routing, now)


def _notices(contents: HomeContents) -> NoticesProbe:
    channels = contents.config.notify.channels
    return NoticesProbe(channels, has_desktop(contents.environ) if "desktop" in channels else True)


def _fallback(contents: HomeContents) -> Iterator[Mapping[str, object]]:
    """Yield the fallback chain."""
    for entry in _entries(contents):
        if entry.model:
            yield {
                "provider": entry.provider,
                "model": entry.model,
                "usable": not entry.disabled,
                "reason": entry.disabled,
            }


def _upstream_probe(
    url: str, proxy_url: str | None, network: Network
) -> Callable[[], UpstreamProbe]:
    return lambda: probe_upstream(url, network, proxy_url)


def _cluster(settings: Cluster, network: Network) -> Mapping[str, object] | None:
    """Ask Redis who is there; None where its client is not installed."""
    if missing_for_cluster():
        return None
    from neurolink_mitm.cluster.observer import look

    return asyncio.run(look(settings, lambda: network.context))


def _reported_cluster(done: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what the running proxy says of its cluster, else what Redis has said."""
    proxy: ProxyProbe | None = done.get("the proxy")
    reported = proxy.status.get("cluster") if proxy and proxy.status else None
    return reported or done.get("the cluster")


def _skew(done: Mapping[str, Any]) -> float | None:
    """Return the clock skew that the running proxy has measured, else that of the probe."""
    proxy: ProxyProbe | None = done.get("the proxy")
    reported = proxy.status.get("clockSkew") if proxy and proxy.status else None
    skew: float | None = reported if isinstance(reported, int | float) else done.get("the clock")
    return skew


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
