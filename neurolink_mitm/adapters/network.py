"""The network of this machine: HTTP proxies and trusted authorities, for all outgoing connections."""

from __future__ import annotations

import atexit
import logging
import os
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

from neurolink_mitm.adapters.trust import VARIABLES as CERTIFICATES
from neurolink_mitm.adapters.trust import Trust, authorities_fault, read_trust
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.request.http_proxy import VARIABLES, HttpProxies
from neurolink_mitm.core.request.target import Via
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.core.settings.values import Config

if TYPE_CHECKING:
    import httpx


logger = logging.getLogger("neurolink.network")

SETTINGS = "this machine's network settings"
LIBRARY_VARIABLES = (*CERTIFICATES, "AWS_CA_BUNDLE")
"""Environment variables by which libraries find trusted authorities."""


def proxies_of(
    environ: Mapping[str, str],
    platform: str = sys.platform,
    settings: Callable[[], Mapping[str, str]] = getproxies,
) -> HttpProxies:
    """Return the HTTP proxies of the environment, else those of macOS's network settings; NO_PROXY counts for both."""
    proxies = HttpProxies.read(environ)
    if proxies.named or platform != "darwin":
        return proxies
    schemes = {scheme: url for scheme, url in settings().items() if scheme in ("http", "https")}
    return HttpProxies({name: (SETTINGS, url) for name, url in schemes.items()}, proxies.spared)


@dataclass(frozen=True, slots=True)
class Network:
    """HTTP proxies and trusted authorities. `roots` is the file of authorities, if it is written."""

    proxies: HttpProxies = field(default_factory=HttpProxies)
    trust: Trust | None = None
    roots: Path | None = None

    @property
    def context(self) -> ssl.SSLContext:
        """The context of TLS clients; the first use takes tens of milliseconds."""
        return self._trust.context

    @property
    def _trust(self) -> Trust:
        return self.trust or _plain()

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(f"{fault}: left out" for fault in self.trust.faults) if self.trust else ()

    def client(self, url: str, own: str | None = None) -> dict[str, Any]:
        """Return httpx's arguments for `url`; `own` is an account's `proxyUrl`. Raises `ValueError`."""
        via = self.proxies.via(url, own)
        return {
            "verify": self.context,
            "trust_env": False,
            "proxy": _httpx_proxy(via, self.context) if via else None,
        }

    def environment(self) -> dict[str, str]:
        """Return the environment variables that give another program this network."""
        variables = self.proxies.variables()
        variables |= {name.lower(): value for name, value in variables.items()}
        if self.roots:
            variables |= {
                name: str(self.roots) for name in LIBRARY_VARIABLES if name != "SSL_CERT_DIR"
            }
        return variables


@cache
def _plain() -> Trust:
    """Return the authorities without any variable."""
    return read_trust({})


def read_network(
    environ: Mapping[str, str], bundle: Path | None = None, roots: Path | None = None
) -> Network:
    """Return the network of the environment; write the authorities to the directory `roots`.

    Raises `ConfigError`, `OSError`.
    """
    if bundle and (fault := authorities_fault(bundle)):
        raise ConfigError(f"network.caBundle: {bundle} {fault}")
    trust = read_trust(environ, bundle)
    return Network(proxies_of(environ), trust, _written(trust, roots) if roots else None)


def _written(trust: Trust, directory: Path) -> Path:
    """Write the authorities to `directory`, or to a temporary one if it is read-only."""
    try:
        return trust.write(directory)
    except OSError as e:
        elsewhere = _elsewhere()
        logger.warning("%s: %s; the list of authorities is in %s", directory, e.strerror, elsewhere)
        return trust.write(elsewhere)


@cache
def _elsewhere() -> Path:
    """Return a directory that is removed when the process ends."""
    directory = tempfile.TemporaryDirectory(prefix="neurolink-")
    atexit.register(directory.cleanup)
    return Path(directory.name)


def bundle_of(config: Config, directory: Path) -> Path | None:
    """Return `network.caBundle`, relative to the configuration's `directory`."""
    named = config.network.ca_bundle
    return directory / os.path.expanduser(named) if named else None


def asked_of(environ: Mapping[str, str]) -> tuple[str | None, ...]:
    """Return all variables that the network depends on."""
    names = (*VARIABLES, *(name.lower() for name in VARIABLES), *CERTIFICATES)
    return tuple(environ.get(name) for name in names)


def proxy_faults(
    proxies: HttpProxies, config: Config, accounts: Iterable[Account], *, default: bool = True
) -> tuple[str, ...]:
    """Return the faults of proxies on the way to upstream and to the login server, a line each."""
    accounts = tuple(accounts)
    wanted: list[tuple[str, str | None]] = [(a.base_url, a.proxy_url) for a in accounts]
    if default:
        wanted.append((config.default_base_url, None))
    if any(account.refreshable for account in accounts):
        wanted += [(url, None) for url in config.oauth.token_urls]
    faults = (proxies.fault(url, own) for url, own in wanted)
    return tuple(dict.fromkeys(fault for fault in faults if fault))


def _httpx_proxy(via: Via, context: ssl.SSLContext) -> httpx.Proxy:
    import httpx

    return httpx.Proxy(via.url, ssl_context=context if via.scheme == "https" else None)
