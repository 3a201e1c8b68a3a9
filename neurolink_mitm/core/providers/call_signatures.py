"""Remembers the signatures of tool calls, for clients that hand back of a call only id, name and input.

A signature comes in a block of thinking without words, right before its call. Clients that keep thinking bring it back
even after a restart; for others it is put there again from this memory.
https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from neurolink_mitm.core.providers.signatures import is_foreign

Json = dict[str, Any]

MOST = 4_000
"""Calls that are remembered; the oldest are forgotten."""
LARGEST = 16_000_000
"""Characters of all signatures."""


class CallSignatures:
    """Signatures by the ids of calls."""

    def __init__(self, most: int = MOST, largest: int = LARGEST) -> None:
        self._most = most
        self._largest = largest
        self._known: dict[str, str] = {}
        self._size = 0

    def learn(self, signatures: Mapping[str, str]) -> None:
        """Remember signatures by the ids of their calls."""
        for id_, signature in signatures.items():
            self._size += len(signature) - len(self._known.pop(id_, ""))
            self._known[id_] = signature
        while self._known and (len(self._known) > self._most or self._size > self._largest):
            self._size -= len(self._known.pop(next(iter(self._known))))

    def restored(self, request: Json) -> Json:
        """Return the request with a signature before each call that is known and has none."""
        messages = request.get("messages")
        if not self._known or not isinstance(messages, list):
            return request
        return {**request, "messages": [self._message(message) for message in messages]}

    def _message(self, message: Any) -> Any:
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, list) or message.get("role") != "assistant":
            return message
        return {**message, "content": list(self._content(content))}

    def _content(self, content: Sequence[Any]) -> Iterator[Any]:
        before: Any = None
        for block in content:
            if not is_wordless(before) and (signature := self._known.get(_call_id(block))):
                yield {"type": "thinking", "thinking": "", "signature": signature}
            yield block
            before = block


def is_wordless(block: Any) -> bool:
    """Tell whether a block of thinking has nothing but a signature of ours."""
    return (
        isinstance(block, dict)
        and block.get("type") == "thinking"
        and not block.get("thinking")
        and is_foreign(block.get("signature"))
    )


def signatures_in(content: Sequence[Json]) -> dict[str, str]:
    """Return the signatures in an answer, by the ids of their calls."""
    found: dict[str, str] = {}
    for before, block in itertools.pairwise(content):
        if is_wordless(before) and (id_ := _call_id(block)):
            found[id_] = before["signature"]
    return found


def _call_id(block: Any) -> str:
    """Return the id of a call; an empty one for all else."""
    id_ = block.get("id") if isinstance(block, dict) and block.get("type") == "tool_use" else ""
    return id_ if isinstance(id_, str) else ""
