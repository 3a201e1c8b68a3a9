"""The original NeuroLink's store as it writes it: its characters, cut to a byte each, XOR a key, in Base64."""

from __future__ import annotations

import base64
import hashlib
from itertools import cycle


def obfuscate(text: str, home: str) -> bytes:
    """Return what the original writes for the JSON document `text` below the home directory `home`."""
    units = text.encode("utf-16-le", "surrogatepass")[::2]
    key = hashlib.sha256(f"{home}-neurolink-token-store".encode()).hexdigest().encode()
    return base64.b64encode(bytes(a ^ b for a, b in zip(units, cycle(key), strict=False)))
