"""The section of how callers reach the proxy: TLS, and the names that they may use for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from neurolink_mitm.core.settings import types as types
from neurolink_mitm.core.settings.section import Section


@dataclass(frozen=True, slots=True)
class Listen(Section):
    """TLS for callers, HTTP/1.1 only. Without certificate and key it is plain HTTP, which is for loopback."""

    cert: Annotated[
        types.Text | None,
        "The certificate with its chain, PEM; read again when it changes. Relative to this file.",
    ] = None
    key: Annotated[types.Text | None, "Its private key, PEM."] = None
    hosts: Annotated[
        tuple[types.HostName, ...],
        "Further names by which callers may address the proxy: of a balancer, a Service, a tunnel.",
    ] = ()
