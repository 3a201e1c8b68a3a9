"""Reads answers of the Messages API, whole ones and their events. Texts stay the JSON in which they came.

https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from neurolink_mitm.core.providers.surrogates import Halves

NOTHING = msgspec.Raw(b"null")
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


class Delta(msgspec.Struct, gc=False):
    """A piece of a content block."""

    type: str = ""
    text: msgspec.Raw = NOTHING
    thinking: msgspec.Raw = NOTHING
    signature: msgspec.Raw = NOTHING
    partial_json: msgspec.Raw = NOTHING


class BlockDelta(msgspec.Struct, gc=False):
    """`content_block_delta`."""

    index: int
    delta: Delta


class Block(msgspec.Struct, gc=False):
    """A content block, or the beginning of one."""

    type: str = ""
    text: msgspec.Raw = NOTHING
    thinking: msgspec.Raw = NOTHING
    signature: msgspec.Raw = NOTHING
    data: msgspec.Raw = NOTHING
    id: str = ""
    name: str = ""
    input: msgspec.Raw = NOTHING


class BlockStart(msgspec.Struct, gc=False):
    """`content_block_start`."""

    index: int
    content_block: Block


class StopDetails(msgspec.Struct, gc=False):
    """Why the model refuses."""

    explanation: str | None = None


class Ending(msgspec.Struct, gc=False):
    """How an answer ends: the `delta` of `message_delta`."""

    stop_reason: str | None = None
    stop_details: StopDetails | None = None


class MessageDelta(msgspec.Struct, gc=False):
    """`message_delta`."""

    delta: Ending


class Unnamed(msgspec.Struct, gc=False):
    """An event that came without a name."""

    type: str = ""


class Message(Ending, kw_only=True, gc=False):
    """A whole answer."""

    content: list[Block]
    type: str = "message"


_block_delta = msgspec.json.Decoder(BlockDelta)


@dataclass(slots=True)
class Deltas:
    """Reads the `content_block_delta` events of an answer. Letters that come in halves are joined."""

    _halves: Halves = field(default_factory=Halves)

    def read(self, data: bytes) -> BlockDelta:
        """Return the event. Raises a member of `UNREADABLE`, or `ValueError`."""
        if b"\\u" in data and _HALF.search(data):
            data = self._joined(data)
        return _block_delta.decode(data)

    def _joined(self, data: bytes) -> bytes:
        """Return an event that may have half a letter: neither msgspec nor clients take one."""
        event: Any = json.loads(data)
        delta = event.get("delta") if isinstance(event, dict) else None
        if not isinstance(delta, dict):
            return data
        whole = {
            name: self._halves.feed(text)
            for name, text in delta.items()
            if isinstance(text, str) and name != "type"
        }
        return msgspec.json.encode({**event, "delta": delta | whole})


def letters(raw: msgspec.Raw) -> bytes:
    """Return what stands between the quotes of a JSON string; nothing for null. Raises `ValueError` for others."""
    text = bytes(raw)
    if text.startswith(b'"'):
        return text[1:-1]
    if text == b"null":
        return b""
    raise ValueError("no text where there should be some")


def decoded_letters(text: bytes) -> str:
    """Return the text of what stands between the quotes of a JSON string."""
    return msgspec.json.decode(b'"%b"' % text, type=str)


def encoded_letters(text: str) -> bytes:
    """Return what stands between the quotes of the JSON string of `text`."""
    return msgspec.json.encode(text)[1:-1]
