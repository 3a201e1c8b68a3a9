"""The HTTP proxies that the environment names, or where it names none, this machine's settings."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from urllib.request import getproxies

from neurolink_mitm.core.request.http_proxy import HttpProxies

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
