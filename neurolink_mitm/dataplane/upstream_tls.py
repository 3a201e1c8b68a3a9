"""What lies between this proxy and upstream: an HTTP proxy, and TLS with the issuers of refused certificates."""

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
    """The address of an HTTP proxy, with its login: a connection that was opened for one user serves no other."""

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
    """Return the proxy in the form of `GetHttpConnection.via`."""
    return (via.scheme, ProxyAddress.of(via)) if via else None


def show_proxy_login(flow: http.HTTPFlow) -> None:
    """Add the login of the proxy that `flow`, a CONNECT, goes to, if it has one."""
    authorization = getattr(flow.server_conn.address, "authorization", None)
    if authorization:
        flow.request.headers["proxy-authorization"] = authorization


MAX_HOSTS = 100
"""Hosts whose issuers are remembered."""


class UpstreamTls:
    """TLS towards upstream, as mitmproxy's `TlsConfig` sets it up."""

    def __init__(self) -> None:
        self.issuers: dict[str, str] = {}
        """By host, the issuer of the certificate that the latest handshake refused."""
        self._config = tlsconfig.TlsConfig()

    def tls_start_server(self, data: tls.TlsData) -> None:
        if data.ssl_conn is not None or not isinstance(data.conn, connection.Server):
            return
        self._config.tls_start_server(data)
        host = data.conn.sni or (data.conn.address[0] if data.conn.address else "")
        self.issuers.pop(host, None)

        def verify(_: SSL.Connection, cert: crypto.X509, code: int, depth: int, good: int) -> bool:
            if not good:
                self._remember_issuer(host, cert)
            return bool(good)

        if data.ssl_conn is not None:
            data.ssl_conn.set_verify(SSL.VERIFY_PEER, verify)

    def _remember_issuer(self, host: str, certificate: crypto.X509) -> None:
        while len(self.issuers) >= MAX_HOSTS:
            del self.issuers[next(iter(self.issuers))]
        with suppress(ValueError):  # malformed certificates
            self.issuers[host] = certificate.to_cryptography().issuer.rfc4514_string()[:200]
