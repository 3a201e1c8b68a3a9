"""Makes one new connection to upstream and hands it over.

Works the same on asyncio's loop and on uvloop's. Cancelling closes the socket, at any stage.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from neurolink_mitm.core.request.target import UpstreamKey
from neurolink_mitm.dataplane.upstreams.failure import DialError as DialError
from neurolink_mitm.dataplane.upstreams.failure import UntrustedError
from neurolink_mitm.dataplane.upstreams.issuer import remember_issuer
from neurolink_mitm.dataplane.upstreams.opening import open_connection
from neurolink_mitm.dataplane.upstreams.tls import TlsFacts, UpstreamTrust


@dataclass(frozen=True, slots=True)
class Dialled:
    """A new connection, whose `protocol` was told by `connection_made`."""

    transport: asyncio.Transport
    protocol: asyncio.Protocol
    connect_seconds: float
    """For name, TCP, TLS with an HTTP proxy and its tunnel."""
    tls_seconds: float
    """For TLS with upstream."""
    peername: Any
    """The address of upstream, or of the HTTP proxy."""
    sockname: Any
    tls: TlsFacts | None


async def dial(
    key: UpstreamKey, make_protocol: Callable[[], asyncio.Protocol], trust: UpstreamTrust
) -> Dialled:
    """Connect to upstream. Pins are not looked at. Limits of time are the caller's. Raises `DialError`."""
    context = await trust.context(key.host) if key.tls else None
    try:
        opened = await open_connection(key, trust, context)
    except UntrustedError as e:
        await remember_issuer(e.server, trust)
        raise
    trust.issuers.pop(key.host, None)
    # from here on without a pause: what comes now is for `protocol`
    protocol, transport = make_protocol(), opened.transport
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    return Dialled(
        transport,
        protocol,
        opened.connect_seconds,
        opened.tls_seconds,
        transport.get_extra_info("peername"),
        transport.get_extra_info("sockname"),
        opened.tls,
    )
