"""TLS towards upstream: whom it trusts, and what a handshake has shown."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import certifi
from mitmproxy.net import tls as net_tls
from mitmproxy.options import Options

from neurolink_mitm.core.failover.unreachable import NO_SETUP
from neurolink_mitm.dataplane.threads import run_in_thread
from neurolink_mitm.dataplane.upstreams.failure import DialError
from neurolink_mitm.dataplane.upstreams.memory import shrink_read_buffers

HTTP = "http/1.1"
"""The only protocol that is offered by ALPN."""
_VERSIONS = {
    "SSL3": ssl.TLSVersion.SSLv3,
    "TLS1": ssl.TLSVersion.TLSv1,
    "TLS1_1": ssl.TLSVersion.TLSv1_1,
    "TLS1_2": ssl.TLSVersion.TLSv1_2,
    "TLS1_3": ssl.TLSVersion.TLSv1_3,
}
"""By mitmproxy's names of `tls_version_server_min` and `…_max`; without `UNBOUNDED`."""
_OLD = ("UNBOUNDED", "SSL3", "TLS1", "TLS1_1")
"""Lowest versions that OpenSSL speaks with lower demands only, as mitmproxy has it."""


_PEM = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----")


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What the handshake with upstream has settled and shown."""

    version: str
    """As `TLSv1.3`."""
    cipher: str
    alpn: bytes | None
    sni: str
    certificates: tuple[bytes, ...]
    """DER, upstream's own first; those above it from Python 3.13 on."""
    fingerprint: str
    """SHA-256 of upstream's own certificate, in hex."""

    @classmethod
    def of(cls, connection: ssl.SSLObject, sni: str) -> Self:
        """Read them of a handshake that is done. Raises `DialError` if there is none."""
        cipher, own = connection.cipher(), connection.getpeercert(True)
        version = connection.version()
        if cipher is None or own is None or version is None:
            raise DialError("closed the connection during the TLS handshake")
        alpn = connection.selected_alpn_protocol()
        if alpn not in (None, HTTP):
            raise DialError(f"speaks {alpn[:20]!r} by TLS's ALPN, which was not offered")
        chain = getattr(connection, "get_unverified_chain", lambda: None)() or (own,)
        return cls(
            version,
            cipher[0],
            alpn.encode() if alpn else None,
            sni,
            tuple(chain),
            hashlib.sha256(own).hexdigest(),
        )


@dataclass(frozen=True)
class TlsSettings:
    """mitmproxy's options for TLS towards upstream; without any, certifi's authorities are trusted."""

    authorities: str | None = None
    """A file."""
    directory: str | None = None
    """A directory of authorities, as OpenSSL has them: named by their hashes."""
    client_certs: str | None = None
    """A file with certificate and key, or a directory of such files, `HOST.pem`."""
    lowest: str = "TLS1_2"
    highest: str = "UNBOUNDED"
    ciphers: str | None = None

    @classmethod
    def of(cls, options: Options) -> Self:
        return cls(
            options.ssl_verify_upstream_trusted_ca,
            options.ssl_verify_upstream_trusted_confdir,
            options.client_certs,
            # those of mitmproxy's addon TlsConfig
            getattr(options, "tls_version_server_min", cls.lowest),
            getattr(options, "tls_version_server_max", cls.highest),
            getattr(options, "ciphers_server", None),
        )

    @property
    def files(self) -> tuple[str | None, str | None]:
        """The file and the directory of the authorities that are trusted."""
        if not self.authorities and not self.directory:
            return certifi.where(), None
        file, directory = (
            os.path.expanduser(name or "") for name in (self.authorities, self.directory)
        )
        return file or None, directory or None

    @property
    def fault(self) -> str:
        """What can't be right, in words; empty if nothing is found. Cheap: certificates are not parsed."""
        file, directory = self.files
        if file and not os.path.isfile(file):
            return f"ssl_verify_upstream_trusted_ca: {file} is no file"
        if self.authorities and not _holds_certificates(self.authorities):
            return f"ssl_verify_upstream_trusted_ca: {file} holds no PEM certificate"
        if directory and not os.path.isdir(directory):
            return f"ssl_verify_upstream_trusted_confdir: {directory} is no directory"
        return ""

    def certificate_for(self, host: str) -> str | None:
        """Return the file of the client's certificate for `host`, if there is one."""
        if not self.client_certs:
            return None
        named = os.path.expanduser(self.client_certs)
        for path in (named, os.path.join(named, f"{os.path.basename(host)}.pem")):
            if os.path.isfile(path):
                return path
        return None

    def context(self, certificate: str | None) -> ssl.SSLContext:
        """Make a context. Reads files, and takes tens of milliseconds. Raises `OSError`, `ValueError`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # companies' own authorities often fail it (adapters/trust)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.set_alpn_protocols([HTTP])
        context.minimum_version = _VERSIONS.get(self.lowest, ssl.TLSVersion.MINIMUM_SUPPORTED)
        context.maximum_version = _VERSIONS.get(self.highest, ssl.TLSVersion.MAXIMUM_SUPPORTED)
        if self.ciphers or self.lowest in _OLD:
            context.set_ciphers(self.ciphers or "DEFAULT:@SECLEVEL=0")
        context.load_verify_locations(*self.files)
        if certificate:
            context.load_cert_chain(certificate, password=_no_password)
            context.post_handshake_auth = True
        if net_tls.log_master_secret:  # SSLKEYLOGFILE, as mitmproxy reads it
            context.keylog_filename = str(net_tls.log_master_secret.filename)
        return context


def _holds_certificates(file: str) -> bool:
    try:
        return bool(_PEM.search(Path(os.path.expanduser(file)).read_bytes()))
    except OSError as e:
        raise ValueError(f"ssl_verify_upstream_trusted_ca: {file}: {e.strerror}") from e


def _no_password() -> str:
    """Raise `ValueError`: without this, OpenSSL would ask for a password on the terminal."""
    raise ValueError("the key of client_certs has a password")


Made = asyncio.Future[ssl.SSLContext]


class UpstreamTrust:
    """The SSL contexts towards upstream: made on first use, and anew when options change."""

    def __init__(self, settings: TlsSettings | None = None) -> None:
        shrink_read_buffers()
        self.settings = settings or TlsSettings()
        self.generation = 0
        """Rises with each change: connections made before are trusted by other rules."""
        self.issuers: dict[str, str] = {}
        """By host, the issuer of the certificate that was refused latest; empty if it is not known."""
        self.looks: dict[str, tuple[float, asyncio.Future[str]]] = {}
        """By host, when it was asked for its certificate again, and its issuer."""
        self._made: dict[str | None, Made] = {}
        """By file of the client's certificate."""

    def configure(self, settings: TlsSettings) -> None:
        """Take other settings, from the next connection on. Raises `ValueError` if they can't be right."""
        if settings == self.settings:
            return
        if fault := settings.fault:
            raise ValueError(fault)
        self.settings = settings
        self.generation += 1
        self._made = {}

    async def context(self, host: str) -> ssl.SSLContext:
        """Return the context for connections to `host`. Raises `DialError` if none can be made."""
        certificate = self.settings.certificate_for(host)
        made = self._made.get(certificate)
        if made is None or (made.done() and (made.cancelled() or made.exception())):
            made = self._made[certificate] = self._make(certificate)
        try:
            return made.result() if made.done() else await asyncio.shield(made)
        except (OSError, ValueError) as e:
            lasting = isinstance(e, (ssl.SSLError, ValueError, FileNotFoundError))
            files = ", ".join(filter(None, (*self.settings.files, certificate)))
            raise DialError(f"{NO_SETUP} with {files}: {e}", permanent=lasting) from e

    def _make(self, certificate: str | None) -> Made:
        settings = self.settings
        return asyncio.ensure_future(run_in_thread(lambda: settings.context(certificate)))
