"""Why upstream could not be reached, in messages that help: which proxy, whose certificate, which variable."""

from __future__ import annotations

from collections.abc import Mapping

from neurolink_mitm.core.failover.errors import PERMANENT, Failure
from neurolink_mitm.core.request.target import Via

# Starts of the texts of the data plane's `DialError`: they go through mitmproxy's events, which carry texts.
UNTRUSTED = "Certificate verify failed: "
UNTRUSTED_PROXY = "Certificate verify failed at the HTTP proxy: "
NO_TUNNEL = "Refused HTTP CONNECT request: "
"""Before the status and its reason."""
BEYOND_PROXY = "Beyond the HTTP proxy: "
NO_SETUP = "TLS can't be set up"
ROOT_FILE = "NODE_EXTRA_CA_CERTS, SSL_CERT_FILE or network.caBundle"
CLOCK = "look at this machine's clock"
_UNKNOWN_ISSUER = ("issuer", "self-signed", "self signed", "unable to verify", "untrusted")
_TIME = ("expired", "not yet valid")


def unreached(error: str, host: str, via: Via | None, issuers: Mapping[str, str]) -> Failure:
    """Return the failure for a `DialError`; `issuers` names who issued untrusted certificates, by host."""
    if error.startswith(UNTRUSTED):
        reason = error.removeprefix(UNTRUSTED)
        return permanent_failure(untrusted(host, reason, issuers.get(host, "")))
    if error.startswith(NO_SETUP):
        return permanent_failure(error)
    return _connect_error(error) if via is None else _unreached_through(via, error, host, issuers)


def _unreached_through(via: Via, error: str, host: str, issuers: Mapping[str, str]) -> Failure:
    if error.startswith(UNTRUSTED_PROXY):
        reason, issuer = error.removeprefix(UNTRUSTED_PROXY), issuers.get(via.host, "")
        return permanent_failure(untrusted(f"the proxy {via.host}", reason, issuer))
    proxy = f"the HTTP proxy {via.shown}{f' ({via.source})' if via.source else ''}"
    if error.startswith(NO_TUNNEL):
        status, _, reason = error.removeprefix(NO_TUNNEL).partition(" ")
        message = f"{proxy} {refused_by(int(status), reason, via, host)}"
        return permanent_failure(message) if status == "407" else _connect_error(message)
    if error.startswith(BEYOND_PROXY):
        return _connect_error(f"{host}, through {proxy}: {error.removeprefix(BEYOND_PROXY)}")
    return _connect_error(f"{proxy} can't be reached: {error}")


def permanent_failure(message: str) -> Failure:
    """Return the failure of an attempt that no retry cures."""
    return Failure.of_network(PERMANENT, message, sent=False)


def _connect_error(message: str) -> Failure:
    return Failure.of_network("connect_error", message, sent=False)


def refused_by(status: int, reason: str, via: Via, host: str) -> str:
    """Return what an HTTP proxy means by answering CONNECT with `status`."""
    if status == 407:
        refused = "does not take this" if via.authorization else "asks for a"
        return f"{refused} user and password (407)"
    reason = "".join(c for c in reason[:100] if c.isprintable()).strip()
    return f"refuses to connect to {host} ({f'{status} {reason}'.strip()})"


def untrusted(host: str, reason: str, issuer: str) -> str:
    """Return why the certificate of `host` is not trusted; `issuer` is empty if unknown."""
    by = f", issued by {issuer}" if issuer else ""
    lowered = reason.lower()
    if any(word in lowered for word in _TIME):
        return f"the certificate of {host} is not trusted: {reason}{by}; {CLOCK}"
    advice = ""
    if any(word in lowered for word in _UNKNOWN_ISSUER):
        advice = f"; if that is your company's authority, name the file of its root in {ROOT_FILE}"
    return f"the certificate of {host} is not trusted: {reason}{by}{advice}"
