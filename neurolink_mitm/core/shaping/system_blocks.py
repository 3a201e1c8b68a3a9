from __future__ import annotations

from collections.abc import Sequence

import msgspec

from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.core.request import json_spans as spans
from neurolink_mitm.core.request.body import BodyIndex
from neurolink_mitm.core.request.json_spans import Edit, Span
from neurolink_mitm.core.shaping.draft import OutgoingRequest, RefusedError

ASKED = (Kind.MESSAGES, Kind.COUNT_TOKENS)
UNREADABLE = "its body is no JSON to which the system prompt injector can add its blocks"


def block(text: str) -> bytes:
    """Return a system block as JSON."""
    return msgspec.json.encode({"type": "text", "text": text})


class SystemBlocks:
    """Adds the user's own system blocks behind the client's. They are the same bytes each time, for the cache."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._blocks = tuple(map(block, texts))

    def rewrite(self, outgoing: OutgoingRequest) -> OutgoingRequest:
        if outgoing.about.kind not in ASKED or not self._blocks:
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
        if body[system.start : system.start + 1] == b"[":
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
