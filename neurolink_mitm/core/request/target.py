"""Where a request is sent: the base URL of an upstream, and an HTTP proxy on the way."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, Self
from urllib.parse import quote, unquote, urlsplit

DIRECT = "direct"
"""In place of a proxy's URL: no proxy, whatever the environment says."""
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """An upstream's base URL in parts; `prefix` is its path without a trailing slash."""

    scheme: str
    host: str
    port: int
    prefix: str = ""

    @classmethod
    @lru_cache(maxsize=256)
    def parse(cls, url: str) -> Self:
        """Parse a base URL. Raises `ValueError` for what is no absolute http(s) URL with a host."""
        parts = urlsplit(url)
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            raise ValueError("a base URL has the form https://host[:port][/path]")
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        return cls(parts.scheme, parts.hostname, port, parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        """The value of the `Host` header: it names the port only where that is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


_NOT_IN_HOST = re.compile(r"[\s\x00-\x1f\x7f<>\"{}|\\^`%]")
NO_PROXY_URL = (
    "must be an HTTP proxy as http://host:port, with user:password@ before the host if it asks"
)


@dataclass(frozen=True, slots=True)
class Via:
    """An HTTP proxy on the way to upstream; `authorization` is the value of `Proxy-Authorization`, if it wants one."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)
    source: str = field(default="", compare=False)
    """The variable that names it, or `proxyUrl`."""

    @classmethod
    def parse(cls, url: str, source: str = "") -> Self:
        """Parse `[http[s]://][user:password@]host[:port]`. Raises `ValueError`, whose text does not quote `url`.

        User and password may be percent-encoded, and need not be: the host begins after the last `@`.
        """
        scheme, user, rest = _proxy_parts(url)
        try:
            parts = urlsplit(f"//{rest}")
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ValueError(NO_PROXY_URL) from None
        if not host or port == 0 or rest.endswith(":") or _NOT_IN_HOST.search(host):
            raise ValueError(NO_PROXY_URL)
        known: Literal["http", "https"] = "https" if scheme == "https" else "http"
        return cls(known, host, port or DEFAULT_PORTS[known], _basic(user), source)

    @property
    def shown(self) -> str:
        """The URL without user and password."""
        return f"{self.scheme}://{'…@' if self.authorization else ''}{self._authority}"

    @property
    def url(self) -> str:
        """The URL with user and password, percent-encoded: a secret."""
        if self.authorization is None:
            return f"{self.scheme}://{self._authority}"
        pair = b64decode(self.authorization.removeprefix("Basic "))
        user, _, password = pair.partition(b":")
        return f"{self.scheme}://{quote(user, '')}:{quote(password, '')}@{self._authority}"

    @property
    def _authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _proxy_parts(url: str) -> tuple[str, str | None, str]:
    """Return the scheme, `user:password` if it is there, and what begins with the host."""
    scheme, mark, rest = _split_scheme(url.strip())
    scheme = scheme.lower() if mark else "http"
    if scheme not in DEFAULT_PORTS:
        if not re.fullmatch(r"[a-z][a-z0-9+.-]{0,15}", scheme):
            raise ValueError(NO_PROXY_URL)
        raise ValueError(f"{scheme}:// proxies can't be used; {NO_PROXY_URL}")
    user, at, host = rest.removeprefix("//").rpartition("@")
    return scheme, user if at else None, re.split(r"[/?#]", host)[0]


def _split_scheme(url: str) -> tuple[str, str, str]:
    """Split off the scheme. A password may contain `://`, a scheme contains no colon."""
    scheme, mark, rest = url.partition("://")
    return (scheme, mark, rest) if mark and re.fullmatch(r"[\w+.-]+", scheme) else ("", "", url)


def _basic(user: str | None) -> str | None:
    if user is None:
        return None
    name, _, password = user.partition(":")
    pair = f"{unquote(name)}:{unquote(password)}"
    return f"Basic {b64encode(pair.encode('utf-8', 'surrogateescape')).decode()}"


def with_beta_query(path: str) -> str:
    """Return `path` with `beta=true` in its query, as Claude Code asks; an existing value stays."""
    bare, mark, query = path.partition("?")
    if any(part.partition("=")[0] == "beta" for part in query.split("&")):
        return path
    return f"{bare}?{query}&beta=true" if mark and query else f"{bare}?beta=true"


@dataclass(frozen=True, slots=True)
class UpstreamKey:
    """The way to an upstream server. Requests with equal keys may use the same connection."""

    host: str
    port: int
    tls: bool
    via: Via | None = None
    """The HTTP proxy on the way, with its login."""
    pins: tuple[str, ...] | None = None
    """SHA-256 of the certificates that the server may show, in hex; None: any valid one."""

    @classmethod
    def of(cls, target: Target, via: Via | None, pins: tuple[str, ...] | None = None) -> Self:
        return cls(target.host, target.port, target.scheme == "https", via, pins)
