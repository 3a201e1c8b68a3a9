"""The address of a proxy of this home: by which its owner's commands ask it, and by which callers do.

The commands connect to this machine, and trust the one certificate whose fingerprint is in the state file, which only
its owner can write. Callers verify the certificate as usual, so that they need a name that it is for.
"""

from __future__ import annotations

import hmac
import ssl
from collections.abc import Iterable
from hashlib import sha256
from http.client import HTTPConnection, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from neurolink_mitm.core.auth.certificate_names import covers, first_covered
from neurolink_mitm.core.auth.loopback import is_loopback

if TYPE_CHECKING:
    from neurolink_mitm.ports import Certificate

CA_VARIABLE = "NODE_EXTRA_CA_CERTS"
"""The file of further certificates that Claude Code trusts."""
_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to


class TlsState(msgspec.Struct, rename="camel", frozen=True):
    """What commands have to know of a proxy's certificate."""

    fingerprint: str
    """SHA-256, in hex digits."""
    name: str
    """The host by which callers address the proxy."""
    path: str
    self_signed: bool
    ends: float
    """In seconds since the epoch."""
    covered: bool = True
    """Whether the certificate is for `name`."""


def tls_state(certificate: Certificate | None, host: str, hosts: Iterable[str]) -> TlsState | None:
    """Return what is published of `certificate`, of a proxy on `host` with these `listen.hosts`."""
    if certificate is None:
        return None
    here = _LOOPBACK.get(host, host)
    near = (here, "localhost") if is_loopback(here) else (here,)
    candidates = (*near, *hosts)
    name = first_covered(certificate.names, candidates) or near[-1]
    return TlsState(
        fingerprint=certificate.fingerprint,
        name=name,
        path=certificate.path,
        self_signed=certificate.self_signed,
        ends=certificate.ends,
        covered=covers(certificate.names, name),
    )


def own_url(host: str, port: int, tls: TlsState | None) -> str:
    """Return the URL on this machine of a proxy that listens on `host`."""
    return _url("https" if tls else "http", _LOOPBACK.get(host, host), port)


def caller_url(host: str, port: int, tls: TlsState | None) -> str:
    """Return the URL that callers are given."""
    return _url("https", tls.name, port) if tls else own_url(host, port, None)


def _url(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://{f'[{host}]' if ':' in host and host[0] != '[' else host}:{port}"


class _PinnedConnection(HTTPSConnection):
    """Speaks to the owner of one certificate, and says nothing to anybody else."""

    def __init__(self, netloc: str, timeout: float, fingerprint: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        super().__init__(netloc, timeout=timeout, context=context)
        self._fingerprint = fingerprint

    def connect(self) -> None:
        super().connect()
        secured: Any = self.sock
        shown = sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()
        if not hmac.compare_digest(shown, self._fingerprint):
            self.close()
            raise ssl.SSLError("the certificate is not that of this home's proxy")


def open_connection(url: str, timeout: float, fingerprint: str | None = None) -> HTTPConnection:
    """Return a connection to `url`, of which nothing is sent yet; `fingerprint`: trust this certificate alone."""
    parts = urlsplit(url)
    if parts.scheme != "https":
        return HTTPConnection(parts.netloc, timeout=timeout)
    if fingerprint is None:
        return HTTPSConnection(parts.netloc, timeout=timeout)
    return _PinnedConnection(parts.netloc, timeout, fingerprint)
