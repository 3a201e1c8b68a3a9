"""Reads the certificate and key of `listen`, by which the proxy speaks TLS with its callers."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurolink_mitm.core.settings.listen import Listen
from neurolink_mitm.core.status.listening import validity

if TYPE_CHECKING:
    from cryptography import x509

LARGEST = 1024 * 1024
"""Bytes of a file; chains have some thousand."""
PROTOCOL = "http/1.1"
"""The one that ALPN offers, RFC 7301."""


class CertificateError(Exception):
    """Certificate or key can't be used. `faults` are lines that begin with the key of the configuration."""

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its key. Times are seconds since the epoch."""

    context: ssl.SSLContext = field(repr=False, compare=False)
    path: str
    fingerprint: str
    """SHA-256 of the certificate, in hex digits."""
    names: tuple[str, ...]
    """The hosts that it is for: names, perhaps with a wildcard, and addresses."""
    self_signed: bool
    """Whether the file has a root of its own: the certificate itself, or that of a small authority at its end."""
    begins: float
    ends: float
    warnings: tuple[str, ...] = ()


def read_certificate(listen: Listen, folder: Path, now: float) -> Certificate | None:
    """Return the certificate of `listen`, whose paths are relative to `folder`; None where there is none. Blocks.

    Raises `CertificateError`.
    """
    if listen.cert is None and listen.key is None:
        return None
    if listen.cert is None:
        raise CertificateError("listen.cert: must be set, too: the certificate of listen.key")
    if listen.key is None:
        raise CertificateError("listen.key: must be set, too: the private key of listen.cert")
    cert, key = (folder / Path(each).expanduser() for each in (listen.cert, listen.key))
    chain = _checked_pair(cert, key)
    leaf = chain[0]
    begins, ends = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    warnings = (*validity(str(cert), begins, ends, now), *_mode_warnings(key))
    return Certificate(
        context=_context(cert, key),
        path=str(cert),
        fingerprint=sha256(_der(leaf)).hexdigest(),
        names=_names(leaf),
        self_signed=any(each.issuer == each.subject for each in chain),
        begins=begins,
        ends=ends,
        warnings=warnings,
    )


def _checked_pair(cert: Path, key: Path) -> list[x509.Certificate]:
    """Return the certificates of the file, if the first is the key's."""
    chain: list[x509.Certificate] = []
    faults = []
    try:
        chain = _certificates(_content(cert))
    except ValueError as e:
        faults.append(f"listen.cert: {cert}: {e}")
    private: Any = None
    try:
        private = _private_key(_content(key))
    except ValueError as e:
        faults.append(f"listen.key: {key}: {e}")
    if faults:
        raise CertificateError(*faults)
    if private.public_key() != chain[0].public_key():
        raise CertificateError(
            f"listen.key: {key}: is not the key of the first certificate in {cert}"
        )
    return chain


def _content(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise ValueError("is no file")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError as e:
        raise ValueError("no such file") from e
    except OSError as e:
        raise ValueError(f"can't be read: {e.strerror}") from e
    if len(data) > LARGEST:
        raise ValueError("is too large")
    return data


def _certificates(data: bytes) -> list[x509.Certificate]:
    """Return at least one. Raises `ValueError`."""
    from cryptography import x509  # only those who speak TLS need it

    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as e:
        raise ValueError("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)") from e


def _private_key(data: bytes) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(data, None)
    except TypeError as e:
        raise ValueError(
            "is encrypted, and nobody is there to type its password: store it without one"
            " (openssl pkey -in FILE -out FILE)"
        ) from e
    except (ValueError, UnsupportedAlgorithm) as e:
        raise ValueError("holds no private key in PEM (-----BEGIN PRIVATE KEY-----)") from e


def _context(cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols([PROTOCOL])
    try:
        context.load_cert_chain(cert, key, _no_password)
    except (OSError, ValueError) as e:  # SSLError is an OSError; a file may have changed since
        reason = getattr(e, "reason", None) or getattr(e, "strerror", None) or e
        raise CertificateError(f"listen.cert: {cert}: can't be used: {reason}") from e
    return context


def _no_password() -> bytes:
    raise ValueError("the key is encrypted")


def _der(leaf: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return leaf.public_bytes(Encoding.DER)


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    """Return the names of the certificate's extension; clients do not read its subject, RFC 9110 section 4.3.4."""
    from cryptography import x509

    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = names.get_values_for_type(x509.DNSName)
        addresses = names.get_values_for_type(x509.IPAddress)
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return (*(host.lower() for host in hosts), *(str(each) for each in addresses))


def _mode_warnings(key: Path) -> Iterator[str]:
    """Yield a warning if others may read the key. The group may that its owner shares it with, as in Kubernetes."""
    try:
        status = key.stat()
    except OSError:
        return
    ours = status.st_uid == os.getuid()
    if status.st_mode & (stat.S_IROTH | (stat.S_IRGRP if ours else 0)):
        yield f"listen.key: {key}: other users may read it: chmod 600"
