from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from neurolink_mitm.core import json_spans as spans
from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.core.json_spans import Edit, Span
from neurolink_mitm.core.shaping.draft import Draft, RefusedError

ASKED = (Kind.MESSAGES, Kind.COUNT_TOKENS)
UNREADABLE = "its body is no JSON to which the system prompt injector can add its blocks"


def block(text: str) -> bytes:
    """A system block as JSON."""
    return msgspec.json.encode({"type": "text", "text": text})


class SystemBlocks:
    """Adds the user's own system blocks behind those of the client: the same bytes each time, so the cache holds."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._blocks = tuple(map(block, texts))

    def rewrite(self, draft: Draft) -> Draft:
        if draft.about.kind not in ASKED or not self._blocks:
            return draft
        body = draft.body
        try:
            return replace(draft, body=spans.apply(body, [self._edit(body)]))
        except ValueError as e:
            raise RefusedError(UNREADABLE) from e

    def _edit(self, body: bytes) -> Edit:
        """Raises `ValueError` for what is no Messages request."""
        root = spans.root(body)
        system = spans.member(body, root, "system")
        if system is None:
            return spans.added(body, root, b'"system":[%s]' % b",".join(self._blocks))
        if body[system.start : system.start + 1] == b"[":
            return spans.added(body, system, b",".join(self._blocks))
        return Edit(system, self._instead(body, system))

    def _instead(self, body: bytes, system: Span) -> bytes:
        """A list in place of a string, whose text stays the first block."""
        token = system.of(body)
        if token == b"null":
            return b"[%s]" % b",".join(self._blocks)
        if not token.startswith(b'"'):
            raise ValueError("system: neither a text nor a list")
        first = b'{"type":"text","text":%s}' % token
        own = () if token == b'""' else (first,)
        return b"[%s]" % b",".join((*own, *self._blocks))
