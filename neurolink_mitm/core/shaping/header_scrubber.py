from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import replace

from neurolink_mitm.core.request import headers
from neurolink_mitm.core.shaping.draft import OutgoingRequest

NAMES = frozenset(
    {b"via", b"forwarded", b"x-forwarded", b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip",
     b"x-remote-ip", b"x-remote-addr", b"x-originating-ip", b"true-client-ip", b"client-ip",
     b"cf-connecting-ip", b"cf-connecting-ipv6", b"cf-ipcountry", b"cf-ray", b"cf-visitor",
     b"fastly-client-ip", b"x-envoy-external-address", b"cookie", b"cookie2"}
)  # fmt: skip
"""Fields that proxies add about the client, and cookies. They are removed."""
PREFIXES = (b"x-forwarded-", b"x-neurolink-")
"""Fields whose names begin so are removed."""
NEEDED = frozenset({b"host", b"content-length", b"content-type", b"transfer-encoding"})
"""Fields that stay whatever the user's wildcards match: without them there is no request."""


class HeaderScrubber:
    """Removes the header fields that tell where a request comes from, and those that the user's wildcards match."""

    def __init__(self, wildcards: Iterable[str] = ()) -> None:
        listed = "|".join(fnmatch.translate(each.lower()) for each in wildcards)
        self._listed = re.compile(listed) if listed else None

    def rewrite(self, outgoing: OutgoingRequest) -> OutgoingRequest:
        fields = headers.end_to_end(outgoing.fields)
        kept = tuple(field for field in fields if not self._goes(field[0].lower()))
        return outgoing if len(kept) == len(outgoing.fields) else replace(outgoing, fields=kept)

    def _goes(self, name: bytes) -> bool:
        if name in NAMES or name.startswith(PREFIXES):
            return True
        if self._listed is None or name in NEEDED:
            return False
        return self._listed.match(name.decode("latin-1")) is not None
