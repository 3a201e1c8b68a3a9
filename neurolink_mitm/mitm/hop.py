"""An HTTP proxy on the way to upstream, in the form in which mitmproxy hands it on."""

from __future__ import annotations

from typing import Literal

from mitmproxy import http
from mitmproxy.connection import Address

from neurolink_mitm.core.request.target import Via

Spec = tuple[Literal["http", "https"], Address]


class Hop(tuple[str, int]):
    """Its address, and the login to show there: a connection that was opened for one user serves no other."""

    authorization: str | None

    @classmethod
    def of(cls, via: Via) -> Hop:
        hop = cls((via.host, via.port))
        hop.authorization = via.authorization
        return hop

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and self.authorization == getattr(other, "authorization", None)

    def __hash__(self) -> int:
        return super().__hash__()


def spec_of(via: Via | None) -> Spec | None:
    """As `GetHttpConnection` wants it."""
    return (via.scheme, Hop.of(via)) if via else None


def log_in(flow: http.HTTPFlow) -> None:
    """Show the login to the proxy that `flow`, a CONNECT, goes to, if it wants one."""
    authorization = getattr(flow.server_conn.address, "authorization", None)
    if authorization:
        flow.request.headers["proxy-authorization"] = authorization
