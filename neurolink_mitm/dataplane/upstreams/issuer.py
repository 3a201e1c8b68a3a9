"""Finds who issued a certificate that was refused: Python's `ssl` does not show it."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

from cryptography import x509

from neurolink_mitm.core.request.target import UpstreamKey
from neurolink_mitm.dataplane.upstreams.opening import open_connection
from neurolink_mitm.dataplane.upstreams.tls import UpstreamTrust

LIMIT = 3.0
"""Seconds for a look."""
AGAIN = 60.0
"""Seconds until a host is looked at again."""
MAX_HOSTS = 100
"""Hosts that are remembered."""


async def remember_issuer(server: UpstreamKey, trust: UpstreamTrust) -> None:
    """Set `trust.issuers` for the host of `server`, whose certificate was refused."""
    now = asyncio.get_running_loop().time()
    at, look = trust.looks.get(server.host, (-AGAIN, None))
    if look is None or at + AGAIN <= now:
        _make_room(trust.looks)
        look = asyncio.ensure_future(_issuer_of(server, trust))
        trust.looks[server.host] = now, look
    issuer = await asyncio.shield(look)
    _make_room(trust.issuers)
    trust.issuers[server.host] = issuer


def _make_room(hosts: dict[str, str] | dict[str, tuple[float, asyncio.Future[str]]]) -> None:
    while len(hosts) >= MAX_HOSTS:
        del hosts[next(iter(hosts))]


async def _issuer_of(server: UpstreamKey, trust: UpstreamTrust) -> str:
    """Shake hands once more without any check, and hang up: nothing is sent. Empty if that fails."""
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    with suppress(Exception):
        async with asyncio.timeout(LIMIT):
            opened = await open_connection(server, trust, unverified)
        opened.transport.abort()
        assert opened.tls
        certificate = x509.load_der_x509_certificate(opened.tls.certificates[0])
        return certificate.issuer.rfc4514_string()[:200]
    return ""
