"""How far one gets with a base URL: name, connection, TLS. Nothing is asked of the server, and no credential shown."""

from __future__ import annotations

import socket
import ssl

import certifi

from neurolink_mitm.core.facts import Upstream
from neurolink_mitm.core.target import Target

LIMIT = 5.0
"""Seconds for each step."""


def reach(url: str, *, limit: float = LIMIT, authorities: str | None = None) -> Upstream:
    """Blocks; doesn't raise. `authorities` is a file of certificates, by default the one that mitmproxy goes by."""
    target = Target.parse(url)
    try:
        socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        return Upstream(url, "name", f"the name {target.host} is not known here")
    try:
        with socket.create_connection((target.host, target.port), limit) as connection:
            if target.scheme == "http":
                return Upstream(url, "ok", ", without TLS")
            return _handshake(url, target.host, connection, authorities or certifi.where())
    except OSError as e:
        return Upstream(url, "connect", f"can't connect: {e.strerror or e}")


def _handshake(url: str, host: str, connection: socket.socket, authorities: str) -> Upstream:
    context = ssl.create_default_context(cafile=authorities)
    try:
        with context.wrap_socket(connection, server_hostname=host) as secured:
            return Upstream(url, "ok", f", certificate verified ({secured.version()})")
    except ssl.SSLCertVerificationError as e:
        return Upstream(url, "certificate", e.verify_message)
    except (ssl.SSLError, OSError) as e:
        return Upstream(url, "tls", f"TLS fails: {e.strerror or e}")
