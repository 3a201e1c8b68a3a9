"""Claude's thinking in the `encrypted_content` of a reasoning item: whole and signed, as Anthropic wants it back.

A client keeps it unread, and sends it back in the input of the next turn. The summary beside it is for people: some
clients leave it out, and Anthropic refuses thinking that was changed.
https://platform.claude.com/docs/en/build-with-claude/extended-thinking#preserving-thinking-blocks
"""

from __future__ import annotations

import base64

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE

_MARK = "nl1."
"""Begins every `encrypted_content` of ours. OpenAI's own is Base64, which has no dot."""


class _Thinking(msgspec.Struct, tag="thinking"):
    thinking: str
    signature: str


class _Redacted(msgspec.Struct, tag="redacted_thinking"):
    data: str


_block = msgspec.json.Decoder(_Thinking | _Redacted)


def encrypted_content(block: bytes) -> str:
    """Return the `encrypted_content` for the JSON of a block: `thinking` with `signature`, or `redacted_thinking`."""
    return _MARK + base64.urlsafe_b64encode(block).decode()


def thinking_block(encrypted_content: str) -> bytes | None:
    """Return the JSON of the block for a Messages request; None where it is OpenAI's or not whole."""
    if not encrypted_content.startswith(_MARK):
        return None
    try:
        block = base64.b64decode(encrypted_content[len(_MARK) :], altchars=b"-_", validate=True)
        return msgspec.json.encode(_block.decode(block))
    except (*UNREADABLE, ValueError):
        return None
