"""The HTTP proxies that the environment names, or where it names none, this machine's settings.

The way from this machine to others: HTTP proxies and trusted authorities, for all who connect.
"""

from __future__ import annotations

import atexit
import logging
import os
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
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


SETTINGS = "this machine's network settings"


def proxies_of(
    environ: Mapping[str, str],
    platform: str = sys.platform,
    settings: Callable[[], Mapping[str, str]] = getproxies,
) -> HttpProxies:
    """macOS keeps proxies in its network settings, too; NO_PROXY counts for those likewise."""
    found = HttpProxies.read(environ)
    if found.named or platform != "darwin":
        return found
    schemes = {scheme: url for scheme, url in settings().items() if scheme in ("http", "https")}
    return HttpProxies({name: (SETTINGS, url) for name, url in schemes.items()}, found.spared)


logger = logging.getLogger("neurolink.network")

OF_PROGRAMS = (*CERTIFICATES, "AWS_CA_BUNDLE")
"""What libraries of providers go by."""


@dataclass(frozen=True, slots=True)
class Network:
    """`roots` is the file of authorities for those who need one; None: nobody has written it."""

    proxies: HttpProxies = field(default_factory=HttpProxies)
    trust: Trust | None = None
    roots: Path | None = None

    @property
    def context(self) -> ssl.SSLContext:
        """For TLS clients. To make it takes tens of milliseconds, once."""
        return self._trust.context

    @property
    def _trust(self) -> Trust:
        return self.trust or _plain()

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(f"{fault}: left out" for fault in self.trust.faults) if self.trust else ()

    def client(self, url: str, own: str | None = None) -> dict[str, Any]:
        """What httpx has to be told to reach `url`; `own` is an account's `proxyUrl`. Raises `ValueError`."""
        via = self.proxies.via(url, own)
        return {
            "verify": self.context,
            "trust_env": False,
            "proxy": _httpx_proxy(via, self.context) if via else None,
        }

    def environment(self) -> dict[str, str]:
        """The same for another program, as variables."""
        told = self.proxies.variables()
        told |= {name.lower(): value for name, value in told.items()}
        if self.roots:
            told |= {name: str(self.roots) for name in OF_PROGRAMS if name != "SSL_CERT_DIR"}
        return told


_known: list[Trust] = []


def _plain() -> Trust:
    """Without any variable."""
    if not _known:
        _known.append(read_trust({}))
    return _known[0]


def read_network(
    environ: Mapping[str, str], bundle: Path | None = None, roots: Path | None = None
) -> Network:
    """As the environment has it; `roots` is a directory where the list of authorities shall be written.

    Raises `ConfigError`, `OSError`.
    """
    if bundle and (fault := authorities_fault(bundle)):
        raise ConfigError(f"network.caBundle: {bundle} {fault}")
    trust = read_trust(environ, bundle)
    return Network(proxies_of(environ), trust, _written(trust, roots) if roots else None)


def _written(trust: Trust, directory: Path) -> Path:
    """There; where that can't be written (a read-only home), in a directory that goes with the process."""
    try:
        return trust.write(directory)
    except OSError as e:
        elsewhere = _elsewhere()
        logger.warning("%s: %s; the list of authorities is in %s", directory, e.strerror, elsewhere)
        return trust.write(elsewhere)


@lru_cache(maxsize=1)
def _elsewhere() -> Path:
    """One for the whole process."""
    directory = tempfile.TemporaryDirectory(prefix="neurolink-")
    atexit.register(directory.cleanup)
    return Path(directory.name)


def bundle_of(config: Config, directory: Path) -> Path | None:
    named = config.network.ca_bundle
    return directory / os.path.expanduser(named) if named else None


def asked_of(environ: Mapping[str, str]) -> tuple[str | None, ...]:
    """All that is read of the environment: the same gives the same network."""
    names = (*VARIABLES, *(name.lower() for name in VARIABLES), *CERTIFICATES)
    return tuple(environ.get(name) for name in names)


def proxy_faults(
    proxies: HttpProxies, config: Config, accounts: Iterable[Account], *, default: bool = True
) -> tuple[str, ...]:
    """What keeps upstream and the login server from being reached, a line each."""
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
