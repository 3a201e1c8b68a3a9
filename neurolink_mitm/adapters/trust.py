"""The trusted certificate authorities of all connections: certifi's, the system's, and those of variables."""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import certifi

from neurolink_mitm.adapters.files import private_directory, write_atomic

FILES = ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
DIRECTORY = "SSL_CERT_DIR"
VARIABLES = (*FILES, DIRECTORY)
SYSTEM = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)
LARGEST = 16 * 1024 * 1024
"""Bytes of a file at most."""
KEEP = 30 * 86_400
"""Seconds after which an unused list is deleted."""

_PEM = re.compile(
    rb"-----BEGIN (?:X509 )?CERTIFICATE-----[A-Za-z0-9+/=\s]{1,65536}-----END (?:X509 )?CERTIFICATE-----"
)


@dataclass(frozen=True)
class Trust:
    """The authorities as `pem`, each once; `faults` name sources that could not be read."""

    pem: bytes = field(repr=False)
    faults: tuple[str, ...] = ()

    @cached_property
    def context(self) -> ssl.SSLContext:
        """The context of clients. Not VERIFY_X509_STRICT, as in the data plane: companies' ones often fail it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.load_verify_locations(cadata=self.pem.decode("ascii"))
        return context

    def write(self, directory: Path) -> Path:
        """Write the authorities to a file of `directory`, named by their hash. Raises `OSError`."""
        path = directory / f"{hashlib.sha256(self.pem).hexdigest()[:16]}.pem"
        private_directory(directory)
        if _read(path) != self.pem:
            write_atomic(path, self.pem)
        with suppress(OSError):
            os.utime(path)
            for old in directory.glob("*.pem"):
                if time.time() - old.stat().st_mtime > KEEP:
                    old.unlink()
        return path


def read_trust(environ: Mapping[str, str], named: Path | None = None) -> Trust:
    """Read all authorities; `named` is `network.caBundle`. Blocks; doesn't raise."""
    faults: list[str] = []
    blocks = dict.fromkeys(_blocks(_read(Path(certifi.where())) or b""))
    blocks |= dict.fromkeys(_new(_system(), blocks))
    for source, path in _asked(environ, named):
        try:
            blocks |= dict.fromkeys(_new(_authorities(path), blocks))
        except ValueError as e:
            faults.append(f"{source}: {path} {e}")
    return Trust(b"\n".join((*blocks, b"")), tuple(faults))


def authorities_fault(path: Path) -> str | None:
    """Return why a file gives no authorities; None if it gives some."""
    try:
        _new(_authorities(path), ())
    except ValueError as e:
        return str(e)
    return None


def _asked(environ: Mapping[str, str], named: Path | None) -> Iterator[tuple[str, Path]]:
    for name in VARIABLES:
        # as OpenSSL has it, a list of directories; the others name one file
        values = environ.get(name, "").split(os.pathsep if name == DIRECTORY else "\0")
        yield from ((name, Path(os.path.expanduser(value))) for value in values if value.strip())
    if named:
        yield "network.caBundle", named


def _authorities(path: Path) -> list[bytes]:
    """Return the authorities of a file or a directory. Raises `ValueError` with its fault."""
    if os.path.isdir(path):
        names = sorted(os.listdir(path)) if os.access(path, os.R_OK) else []
        found = [block for name in names for block in _blocks(_read(path / name) or b"")]
        if not found:
            raise ValueError("is a directory without PEM certificates")
        return found
    if not os.path.isfile(path):
        raise ValueError("is no file" if os.path.exists(path) else "is not there")
    data = _read(path)
    if data is None:
        raise ValueError(f"can't be read, or is larger than {LARGEST // 2**20} MB")
    found = list(_blocks(data))
    if not found:
        raise ValueError("holds no PEM certificate (-----BEGIN CERTIFICATE-----)")
    return found


def _new(blocks: Iterable[bytes], known: Collection[bytes]) -> list[bytes]:
    """Return the blocks that are not in `known` and that OpenSSL can read.

    Most bundles repeat the system's, which would take a tenth of a second to parse again.

    Raises:
        ValueError: none can be read.
    """
    new = [block for block in dict.fromkeys(blocks) if block not in known]
    if not new or _loads(new):
        return new
    good = [block for block in new if _loads((block,))]
    if not good:
        raise ValueError("holds no certificate that can be read")
    return good


def _loads(blocks: Iterable[bytes]) -> bool:
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=b"\n".join(blocks).decode("ascii"))
    except (ssl.SSLError, ValueError):
        return False
    return True


def _system() -> list[bytes]:
    for path in map(Path, (ssl.get_default_verify_paths().openssl_cafile, *SYSTEM)):
        if found := list(_blocks(_read(path) or b"")):
            return found
    return []


def _blocks(data: bytes) -> Iterator[bytes]:
    for match in _PEM.finditer(data):
        lines = match[0].replace(b"X509 CERTIFICATE", b"CERTIFICATE").split()
        # one layout, so that equal certificates are equal
        middle = b"".join(lines[2:-2])
        wrapped = (middle[at : at + 64] for at in range(0, len(middle), 64))
        yield b"\n".join((b"-----BEGIN CERTIFICATE-----", *wrapped, b"-----END CERTIFICATE-----"))


def _read(path: Path) -> bytes | None:
    if not os.path.isfile(path):  # a pipe would be waited for
        return None
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError:
        return None
    return data if len(data) <= LARGEST else None
