"""The HTTP proxies that the environment names, and what goes past them: read here, and nowhere else.

The forms are those that curl, Go and requests take: `host:port` is `http://host:port`, `ALL_PROXY` counts where
nothing more precise is set, lower case goes before upper case, and NO_PROXY lists names, suffixes, addresses, CIDR
blocks, each with a port if need be, or `*`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from neurolink_mitm.core.auth.loopback import is_loopback
from neurolink_mitm.core.request.target import DIRECT, Target, Via

NO_PROXY = "NO_PROXY"
ALL_PROXY = "ALL_PROXY"
VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", ALL_PROXY, NO_PROXY)
"""Each counts in lower case, too."""
OWN = "proxyUrl"

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Spared:
    """An entry of NO_PROXY: a name and all below it, or a block of addresses; `port` None means any."""

    name: str = ""
    network: Network | None = None
    port: int | None = None

    def covers(self, target: Target) -> bool:
        if self.port not in (None, target.port):
            return False
        if self.name == "*":
            return True
        host = target.host.rstrip(".").lower()
        if self.network is None:
            return host == self.name or host.endswith(f".{self.name}")
        try:
            return ip_address(host) in self.network
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class HttpProxies:
    """`named` has variable and value by scheme (`http`, `https`). A bad value is an error where it is used."""

    named: Mapping[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    spared: tuple[Spared, ...] = ()

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> HttpProxies:
        every = _first(environ, "all_proxy")
        by_scheme = {each: _first(environ, f"{each}_proxy") or every for each in ("http", "https")}
        named = {scheme: variable for scheme, variable in by_scheme.items() if variable}
        _, listed = _first(environ, "no_proxy") or ("", "")
        return cls(named, tuple(_spared(listed)))

    def via(self, url: str, own: str | None = None) -> Via | None:
        """Return the proxy on the way to `url`, if there is one. An account's `proxyUrl` (`own`) goes first.

        Raises `ValueError`, which names the variable and what is wrong with its value, without the value.
        """
        if own:
            return None if own == DIRECT else _via(own, OWN)
        target = Target.parse(url)
        name, value = self.named.get(target.scheme, ("", ""))
        if not value or is_loopback(target.host) or any(s.covers(target) for s in self.spared):
            return None
        return _via(value, name)

    def fault(self, url: str, own: str | None = None) -> str | None:
        """Return why no request can be sent to `url`, in words; None if one can."""
        try:
            self.via(url, own)
        except ValueError as e:
            return str(e)
        return None

    def variables(self) -> dict[str, str]:
        """Return the usable proxies as variables for a program that reads fewer forms."""
        usable: dict[str, str] = {}
        for scheme, (name, value) in self.named.items():
            with suppress(ValueError):
                usable[f"{scheme.upper()}_PROXY"] = _via(value, name).url
        listed = ",".join(filter(None, map(_shown, self.spared)))
        return usable | ({NO_PROXY: listed} if usable and listed else {})


def _first(environ: Mapping[str, str], name: str) -> tuple[str, str] | None:
    """Return variable and value. Lower case hides upper case, even when it is empty, as for curl and Python."""
    for variable in (name, name.upper()):
        if variable in environ:
            value = environ[variable].strip()
            return (variable, value) if value else None
    return None


@lru_cache(maxsize=256)
def _via(value: str, source: str) -> Via:
    try:
        return Via.parse(value, source)
    except ValueError as e:
        raise ValueError(f"{source}: {e}") from None


def _spared(listed: str) -> Iterator[Spared]:
    for entry in re.split(r"[\s,]+", listed.lower()):
        plain = entry.partition("://")[2] or entry
        if plain == "*":
            yield Spared("*")
        elif network := _network(plain):
            yield Spared(network=network)
        elif plain:
            yield _with_port(plain)


def _with_port(entry: str) -> Spared:
    name, colon, digits = entry.rpartition(":")
    port = int(digits) if colon and digits.isascii() and digits.isdigit() else None
    name = (name if port is not None else entry).strip("[]")
    if network := _network(name):
        return Spared(network=network, port=port)
    return Spared(name.removeprefix("*").strip("."), port=port)


def _network(text: str) -> Network | None:
    try:
        return ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None


def _shown(spared: Spared) -> str:
    name = spared.name
    if spared.network is not None:
        single = spared.network.num_addresses == 1
        name = str(spared.network.network_address if single else spared.network)
    return f"{name}:{spared.port}" if spared.port is not None and name else name
