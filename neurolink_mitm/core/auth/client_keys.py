"""Client keys and what their holders may do, as `clients.json` has them.

Of a key (`neurolink clients add`) only the SHA-256 is stored. It is 256 random bits, so it needs none of the slow,
salted hashes of passwords.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE

CLIENT_KEY_PREFIX = "sk-nl-"
"""Start of a client key, by which log redaction, ours and others', recognises it."""
MOST_RATE = 1_000_000
MOST_CAP = 1_000_000.0
MOST_HOLD = 86_400
MOST_MODELS = 100
LONGEST_PATTERN = 200


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A stored client key with the limits of its holder; None is no limit. Times are seconds since the epoch."""

    name: str
    digest: str
    created_at: float
    models: tuple[str, ...] = ()
    """The models it may ask for, as wildcards; empty: all."""
    rate: int | None = None
    """Requests a minute."""
    daily_cap_usd: float | None = None
    """What its requests of one day may cost, by the price list, on subscriptions too."""
    hold: int | None = None
    """Seconds that its requests may wait for an account to recover; None: `routing.hold`."""
    other: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    """Fields that a newer version has written."""

    def matches(self, candidate: str) -> bool:
        return self.has_digest(digest(candidate))

    def has_digest(self, candidate: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self.digest.encode(), candidate.encode())


def digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


_Pattern = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_PATTERN)]


class _Client(msgspec.Struct, rename="camel", omit_defaults=True):
    name: str
    sha256: str
    created_at: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
    """Milliseconds."""
    models: Annotated[tuple[_Pattern, ...], msgspec.Meta(max_length=MOST_MODELS)] = ()
    rate: Annotated[int, msgspec.Meta(ge=1, le=MOST_RATE)] | None = None
    daily_cap_usd: Annotated[float, msgspec.Meta(ge=0, le=MOST_CAP)] | None = None
    hold: Annotated[int, msgspec.Meta(ge=0, le=MOST_HOLD)] | None = None


class _Document(msgspec.Struct):
    clients: list[_Client]
    version: int = 1


def parse_client_keys(data: bytes) -> tuple[ClientKey, ...]:
    """Read `clients.json`. Raises `ValueError`."""
    try:
        document = msgspec.json.decode(data, type=_Document)
        fields = msgspec.json.decode(data)["clients"]
    except UNREADABLE as e:
        raise ValueError(str(e)) from e
    if document.version != 1:
        raise ValueError(f"has version {document.version}, this program reads 1")
    return tuple(map(_key, document.clients, fields))


def encode_client(key: ClientKey) -> bytes:
    """Return one client as `clients.json` has it."""
    return msgspec.json.encode(_fields(key) | dict(key.other))


def parse_client(data: bytes) -> ClientKey:
    """Read one client. Raises `ValueError`."""
    return parse_client_keys(b'{"clients":[' + data + b"]}")[0]


def _key(client: _Client, fields: Mapping[str, Any]) -> ClientKey:
    return ClientKey(
        client.name,
        client.sha256,
        client.created_at / 1000,
        client.models,
        client.rate,
        client.daily_cap_usd,
        client.hold,
        {name: value for name, value in fields.items() if name not in _FIELDS},
    )


def encode_client_keys(keys: Iterable[ClientKey], before: bytes = b"") -> bytes:
    """Return the content of `clients.json`; fields of the file `before` that this version does not know stay."""
    clients = [_fields(key) | dict(key.other) for key in keys]
    document = (msgspec.json.decode(before) if before else {}) | {"clients": clients, "version": 1}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _fields(key: ClientKey) -> dict[str, Any]:
    created_at = round(key.created_at * 1000)
    client = _Client(
        key.name, key.digest, created_at, key.models, key.rate, key.daily_cap_usd, key.hold
    )
    fields: dict[str, Any] = msgspec.to_builtins(client)
    return fields


_FIELDS = frozenset(field.encode_name for field in msgspec.structs.fields(_Client))
