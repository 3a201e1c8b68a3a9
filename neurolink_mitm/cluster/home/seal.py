"""Seals what replicas hand each other through Redis, by the cluster's key: logins hidden, all else signed.

Both bind an entry to its namespace, kind, name and generation, so that Redis, or who can write to it, can neither read
a token nor make, change, exchange or move an entry.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from neurolink_mitm.core.redact.secret import Secret

NONCE = 12
"""Bytes: 96 random bits a seal, NIST SP 800-38D section 8.2.2."""


class OtherKeyError(ValueError):
    """It is sealed by another key, or by none."""

    def __init__(self, key_id: bytes) -> None:
        super().__init__("sealed with another key")
        self.key_id = key_id


class BrokenSealError(ValueError):
    """It is not what a replica has sealed for this place and generation."""


class Sealer:
    """One namespace's keys, each derived for its purpose (HKDF, RFC 5869)."""

    def __init__(self, key: Secret, namespace: str) -> None:
        root = base64.b64decode(key.reveal())
        self._namespace = namespace
        self._gcm = AESGCM(_derived(root, b"seal"))
        self._signing = _derived(root, b"sign")
        self._digesting = _derived(root, b"digest")
        self.key_id = _derived(root, b"id")[:8]
        """Tells keys apart, and nothing else of the key."""

    def seal(self, place: tuple[str, str, int], plain: bytes, *, hidden: bool) -> bytes:
        """Return `plain` for Redis. `place` is kind, name and generation."""
        bound = self._bound(place, hidden=hidden)
        if hidden:
            nonce = os.urandom(NONCE)
            return self.key_id + nonce + self._gcm.encrypt(nonce, plain, bound)
        return self.key_id + self._signature(bound, plain) + plain

    def open(self, place: tuple[str, str, int], sealed: bytes, *, hidden: bool) -> bytes:
        """Return what was sealed for `place`. Raises `OtherKeyError`, `BrokenSealError`."""
        key_id, rest = sealed[:8], sealed[8:]
        if key_id != self.key_id:
            raise OtherKeyError(key_id)
        bound = self._bound(place, hidden=hidden)
        if hidden:
            try:
                return self._gcm.decrypt(rest[:NONCE], rest[NONCE:], bound)
            except (InvalidTag, ValueError) as e:
                raise BrokenSealError("not sealed for this place") from e
        signature, plain = rest[:32], rest[32:]
        if not hmac.compare_digest(signature, self._signature(bound, plain)):
            raise BrokenSealError("not signed for this place")
        return plain

    def digest(self, secret: Secret) -> str:
        """Return what tells secrets apart, to those only who have the key."""
        return hmac.new(self._digesting, secret.reveal().encode(), hashlib.sha256).hexdigest()

    def _signature(self, bound: bytes, plain: bytes) -> bytes:
        return hmac.new(self._signing, bound + plain, hashlib.sha256).digest()

    def _bound(self, place: tuple[str, str, int], *, hidden: bool) -> bytes:
        """Return all that an entry is bound to; lengths come first, so that no two are alike."""
        parts = [part.encode("utf-8", "surrogatepass") for part in (self._namespace, *place[:2])]
        parts += [b"%d" % place[2], b"%d" % hidden]
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _derived(root: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"neurolink cluster " + purpose).derive(root)
