"""Keys that callers show, made by `neurolink clients add`: only their hashes are kept.

A plain SHA-256 is right here: a key is 256 random bits, which nobody finds by trying, however fast the hash. Slow and
salted ones are for passwords, and would cost time in every request.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE

PREFIX = "sk-nl-"
"""By it a key is taken for one by whatever stars keys in logs, ours and others'."""


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A caller's key. Times are seconds since the epoch."""

    name: str
    digest: str
    created_at: float

    def matches(self, candidate: str) -> bool:
        """In constant time."""
        return hmac.compare_digest(self.digest, digest(candidate))


def digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class _Client(msgspec.Struct, rename="camel"):
    name: str
    sha256: str
    created_at: int
    """Milliseconds."""


class _Document(msgspec.Struct):
    clients: list[_Client]
    version: int = 1


def parse(data: bytes) -> tuple[ClientKey, ...]:
    """The content of `clients.json`. Raises `ValueError`."""
    try:
        document = msgspec.json.decode(data, type=_Document)
    except UNREADABLE as e:
        raise ValueError(str(e)) from e
    if document.version != 1:
        raise ValueError(f"has version {document.version}, this program reads 1")
    return tuple(ClientKey(c.name, c.sha256, c.created_at / 1000) for c in document.clients)


def encode(keys: Iterable[ClientKey]) -> bytes:
    clients = [_Client(key.name, key.digest, round(key.created_at * 1000)) for key in keys]
    return msgspec.json.format(msgspec.json.encode(_Document(clients)), indent=2) + b"\n"
