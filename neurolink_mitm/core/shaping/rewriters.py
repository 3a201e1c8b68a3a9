from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from neurolink_mitm.core.exchange import CONVERSATION_KINDS
from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request import json_spans as spans
from neurolink_mitm.core.request.body import BodyIndex
from neurolink_mitm.core.request.json_spans import Edit, Span
from neurolink_mitm.core.shaping.outgoing import OutgoingRequest, RefusedError

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


UNREADABLE = "its body is no JSON to which the system prompt injector can add its blocks"


def block(text: str) -> bytes:
    """Return a system block as JSON."""
    return msgspec.json.encode({"type": "text", "text": text})


class SystemBlocks:
    """Adds the user's own system blocks behind the client's. They are the same bytes each time, for the cache."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._blocks = tuple(map(block, texts))

    def rewrite(self, outgoing: OutgoingRequest) -> OutgoingRequest:
        if outgoing.about.kind not in CONVERSATION_KINDS:
            return outgoing
        index = outgoing.indexed()
        try:
            return outgoing.edited(index, [self._edit(index)])
        except ValueError as e:
            raise RefusedError(UNREADABLE) from e

    def _edit(self, index: BodyIndex) -> Edit:
        """Return the edit that adds the blocks. Raises `ValueError` for a body that is no Messages request."""
        body, system = index.body, index.member("system")
        blocks = b",".join(self._blocks)
        if system is None:
            return index.add("system", b"[%s]" % blocks)
        if body.startswith(b"[", system.start):
            return spans.added(system, spans.parts(body, system), blocks)
        return Edit(system, self._instead(body, system))

    def _instead(self, body: bytes, system: Span) -> bytes:
        """Return a list for a system prompt that is a string: its text becomes the first block."""
        token = system.of(body)
        if token == b"null":
            return b"[%s]" % b",".join(self._blocks)
        if not token.startswith(b'"'):
            raise ValueError("system: neither a text nor a list")
        first = b'{"type":"text","text":%s}' % token
        own = () if token == b'""' else (first,)
        return b"[%s]" % b",".join((*own, *self._blocks))


class TlsPins:
    """Pins the certificates that the host may show. The data plane compares them before it sends a byte."""

    def __init__(self, pins: Mapping[str, Sequence[str]]) -> None:
        self._pins = {host.lower(): tuple(hashes) for host, hashes in pins.items()}

    def rewrite(self, outgoing: OutgoingRequest) -> OutgoingRequest:
        pins = self.of(outgoing.about.host)
        return outgoing if pins is None else replace(outgoing, pins=pins)

    def of(self, host: str) -> tuple[str, ...] | None:
        return self._pins.get(host.lower())
