"""What two requests need to have in common to use the same upstream connection."""

from __future__ import annotations

from dataclasses import dataclass

from neurolink_mitm.core.request.target import Via


@dataclass(frozen=True, slots=True)
class UpstreamKey:
    """The way to an upstream server, with the HTTP proxy's login and the certificates that the server may show."""

    host: str
    port: int
    tls: bool
    via: Via | None = None
    """The HTTP proxy on the way."""
    pins: tuple[str, ...] | None = None
    """SHA-256 of the certificates, in hex; None: any valid one."""
