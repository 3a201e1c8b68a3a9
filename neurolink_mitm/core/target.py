"""Where a request is sent."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

DIRECT = "direct"
"""In place of a proxy's URL: none, whatever the environment says."""
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
        """From a base URL.

        Raises:
            ValueError: not an absolute http(s) URL with a host.
        """
        parts = urlsplit(url)
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            raise ValueError("a base URL has the form https://host[:port][/path]")
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        return cls(parts.scheme, parts.hostname, port, parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        """For the `Host` header: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Via:
    """An HTTP proxy on the way to upstream; `authorization` is the value of `Proxy-Authorization`, if it wants one."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    @lru_cache(maxsize=256)
    def parse(cls, url: str) -> Self:
        """From `http://[user:password@]host[:port]`.

        Raises:
            ValueError: not such a URL.
        """
        target, parts = Target.parse(url), urlsplit(url)
        scheme: Literal["http", "https"] = "https" if target.scheme == "https" else "http"
        if parts.username is None:
            return cls(scheme, target.host, target.port)
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        basic = b64encode(pair.encode()).decode()
        return cls(scheme, target.host, target.port, f"Basic {basic}")


def with_beta_query(path: str) -> str:
    """`path` with `beta=true` in its query, as Claude Code asks; a value that is there stays."""
    bare, mark, query = path.partition("?")
    if any(part.partition("=")[0] == "beta" for part in query.split("&")):
        return path
    return f"{bare}?{query}&beta=true" if mark and query else f"{bare}?beta=true"
