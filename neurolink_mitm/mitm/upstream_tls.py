"""TLS towards upstream, by mitmproxy; who issued a certificate that is not trusted is remembered, to be told."""

from __future__ import annotations

from contextlib import suppress

from mitmproxy import connection, tls
from mitmproxy.addons import tlsconfig
from OpenSSL import SSL, crypto

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
