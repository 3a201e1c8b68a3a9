"""An HTTP proxy on the way to upstream, in the form in which mitmproxy hands it on.

TLS towards upstream, by mitmproxy; who issued a certificate that is not trusted is remembered, to be told.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from mitmproxy import connection, http, tls
from mitmproxy.addons import tlsconfig
from mitmproxy.connection import Address
from OpenSSL import SSL, crypto

from neurolink_mitm.core.request.target import Via

Spec = tuple[Literal["http", "https"], Address]


class ProxyAddress(tuple[str, int]):
    """Its address, and the login to show there: a connection that was opened for one user serves no other."""

    authorization: str | None

    @classmethod
    def of(cls, via: Via) -> ProxyAddress:
        address = cls((via.host, via.port))
        address.authorization = via.authorization
        return address

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and self.authorization == getattr(other, "authorization", None)

    def __hash__(self) -> int:
        return super().__hash__()


def server_spec(via: Via | None) -> Spec | None:
    """As `GetHttpConnection` wants it."""
    return (via.scheme, ProxyAddress.of(via)) if via else None


def show_proxy_login(flow: http.HTTPFlow) -> None:
    """Show the login to the proxy that `flow`, a CONNECT, goes to, if it wants one."""
    authorization = getattr(flow.server_conn.address, "authorization", None)
    if authorization:
        flow.request.headers["proxy-authorization"] = authorization


MOST = 100
"""Hosts that are remembered."""


class UpstreamTls:
    """`issuers`: by host, who has issued a certificate that was refused; a handshake that begins forgets it."""

    def __init__(self) -> None:
        self.issuers: dict[str, str] = {}
        self._config = tlsconfig.TlsConfig()

    def start(self, data: tls.TlsData) -> None:
        if data.ssl_conn is not None or not isinstance(data.conn, connection.Server):
            return
        self._config.tls_start_server(data)
        host = data.conn.sni or (data.conn.address[0] if data.conn.address else "")
        self.issuers.pop(host, None)

        def look(_: SSL.Connection, shown: crypto.X509, code: int, depth: int, good: int) -> bool:
            if not good:
                self._remember(host, shown)
            return bool(good)

        if data.ssl_conn is not None:
            data.ssl_conn.set_verify(SSL.VERIFY_PEER, look)

    def _remember(self, host: str, shown: crypto.X509) -> None:
        while len(self.issuers) >= MOST:
            del self.issuers[next(iter(self.issuers))]
        with suppress(ValueError):  # certificates can be odd
            self.issuers[host] = shown.to_cryptography().issuer.rfc4514_string()[:200]
