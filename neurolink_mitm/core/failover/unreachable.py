"""Says why upstream could not be reached, in words that lead on: which proxy, whose certificate, which variable."""

from __future__ import annotations

import re
from collections.abc import Mapping

from neurolink_mitm.core.failover.errors import NO_WAY, Failure
from neurolink_mitm.core.request.target import Via

UNTRUSTED = "Certificate verify failed: "
"""How mitmproxy begins."""
ROOT_FILE = "NODE_EXTRA_CA_CERTS, SSL_CERT_FILE or network.caBundle"
CLOCK = "look at this machine's clock"
_REFUSED = re.compile(r"refused HTTP CONNECT request: (\d+) ?(.*)", re.DOTALL)
_UNKNOWN_ISSUER = ("issuer", "self-signed", "self signed", "unable to verify", "untrusted")
_TIME = ("expired", "not yet valid")


def unreached(error: str, host: str, via: Via | None, issuers: Mapping[str, str]) -> Failure:
    """`error` is mitmproxy's; `issuers` are those of certificates that were not trusted, by host."""
    if error.startswith(UNTRUSTED):
        of_proxy = via is not None and host not in issuers and via.host in issuers
        name = f"the proxy {via.host}" if via and of_proxy else host
        issuer = issuers.get(via.host if via and of_proxy else host, "")
        return no_way(untrusted(name, error.removeprefix(UNTRUSTED), issuer))
    if via is None:
        return _connect_error(error)
    proxy = f"the HTTP proxy {via.shown}{f' ({via.source})' if via.source else ''}"
    if refused := _REFUSED.search(error):
        status = int(refused[1])
        said = f"{proxy} {refused_by(status, refused[2], via, host)}"
        return no_way(said) if status == 407 else _connect_error(said)
    return _connect_error(f"{proxy} can't be reached: {error}")


def no_way(message: str) -> Failure:
    return Failure.of_network(NO_WAY, message, sent=False)


def _connect_error(message: str) -> Failure:
    return Failure.of_network("connect_error", message, sent=False)


def refused_by(status: int, reason: str, via: Via, host: str) -> str:
    """What a proxy means that answers CONNECT with `status`."""
    if status == 407:
        asked = (
            "does not take this user and password"
            if via.authorization
            else "asks for a user and password"
        )
        return f"{asked} (407)"
    said = "".join(c for c in reason[:100] if c.isprintable()).strip()
    return f"refuses to connect to {host} ({status}{' ' if said else ''}{said})"


def untrusted(host: str, reason: str, issuer: str) -> str:
    """`issuer` is empty where nobody knows it."""
    by = f", issued by {issuer}" if issuer else ""
    lowered = reason.lower()
    if any(word in lowered for word in _TIME):
        return f"the certificate of {host} is not trusted: {reason}{by}; {CLOCK}"
    advice = ""
    if any(word in lowered for word in _UNKNOWN_ISSUER):
        advice = f"; if that is your company's authority, name the file of its root in {ROOT_FILE}"
    return f"the certificate of {host} is not trusted: {reason}{by}{advice}"
