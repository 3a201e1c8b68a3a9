"""Self-signed certificates with their keys, in files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

NAMES = ("localhost", "127.0.0.1", "pool.example.com")
Key = ec.EllipticCurvePrivateKey


def make_pair(
    folder: Path,
    name: str = "tls",
    names: Sequence[str] = NAMES,
    *,
    days: tuple[float, float] = (-1, 30),
    key: Key | None = None,
    password: bytes | None = None,
    authority: str | None = None,
) -> str:
    """Write `NAME.crt` and `NAME.key`, valid from and to so many days from now; return the fingerprint.

    `authority` is the name of a pair in `folder` that signs it.
    """
    key = signing_key = key or ec.generate_private_key(ec.SECP256R1())
    now, subject = datetime.now(UTC), _subject(name)
    if authority:
        loaded = load_pem_private_key((folder / f"{authority}.key").read_bytes(), None)
        assert isinstance(loaded, Key)
        signing_key = loaded
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_subject(authority or name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([_name(each) for each in names]), critical=False)
        .sign(signing_key, hashes.SHA256())
    )
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    how: KeySerializationEncryption = NoEncryption()
    if password:
        how = BestAvailableEncryption(password)
    private = folder / f"{name}.key"
    private.touch(0o600)
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    return sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
