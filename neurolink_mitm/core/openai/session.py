"""The session of a request whose header fields name none: the client's key, or the conversation's beginning."""

from __future__ import annotations

from hashlib import blake2b

from neurolink_mitm.core.request.body import LONGEST_SESSION

_DIGESTED = 1 << 16
"""Bytes of the first question that are read for it: its end may be a large image."""


def session_of(prompt_cache_key: str | None, first: bytes) -> str | None:
    """Return the session's name; None where there is nothing to name it by. `first` is the user's first content."""
    if prompt_cache_key:
        return prompt_cache_key[:LONGEST_SESSION]
    if not first:
        return None
    return blake2b(b"%d %b" % (len(first), first[:_DIGESTED]), digest_size=16).hexdigest()
