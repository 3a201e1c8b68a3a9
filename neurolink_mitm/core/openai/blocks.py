"""Anthropic's content blocks and their deltas, as raw JSON: what of them goes into OpenAI's forms is not decoded."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from neurolink_mitm.core.openai.reading import NULL
from neurolink_mitm.core.providers.surrogates import Halves

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


class Block(msgspec.Struct, gc=False):
    """A content block of any type."""

    type: str = ""
    text: msgspec.Raw = NULL
    thinking: msgspec.Raw = NULL
    signature: msgspec.Raw = NULL
    data: msgspec.Raw = NULL
    id: msgspec.Raw = NULL
    name: msgspec.Raw = NULL
    input: msgspec.Raw = NULL


class BlockStart(msgspec.Struct, gc=False):
    """The data of `content_block_start`."""

    content_block: Block
    index: int = 0


class Delta(msgspec.Struct, gc=False):
    """A delta of any type."""

    type: str = ""
    text: msgspec.Raw = NULL
    thinking: msgspec.Raw = NULL
    partial_json: msgspec.Raw = NULL
    signature: msgspec.Raw = NULL


class BlockDelta(msgspec.Struct, gc=False):
    """The data of `content_block_delta`."""

    delta: Delta
    index: int = 0


class Ending(msgspec.Struct, gc=False):
    """How an answer ends."""

    stop_reason: str | None = None
    stop_details: msgspec.Raw = NULL


class MessageDelta(msgspec.Struct, gc=False):
    """The data of `message_delta`."""

    delta: Ending = msgspec.field(default_factory=Ending)


class BlockStop(msgspec.Struct, gc=False):
    """The data of `content_block_stop`."""

    index: int = 0


_deltas = msgspec.json.Decoder(BlockDelta)


@dataclass(slots=True)
class Deltas:
    """Reads the `content_block_delta` events of one answer, and joins letters that come in halves."""

    _halves: Halves = field(default_factory=Halves)

    def read(self, data: bytes) -> BlockDelta:
        """Return the event. Raises `ValueError`, or another of `UNREADABLE`."""
        if b"\\u" in data and _HALF.search(data):
            data = self._with_whole_letters(data)
        return _deltas.decode(data)

    def _with_whole_letters(self, data: bytes) -> bytes:
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


def words(raw: msgspec.Raw) -> bytes:
    """Return what stands between the quotes of a JSON string; nothing for null. Raises `ValueError` for others."""
    text = bytes(raw)
    if text[:1] == b'"':
        return text[1:-1]
    if text == b"null":
        return b""
    raise ValueError("no text where there should be some")


def name(raw: msgspec.Raw) -> bytes:
    """Return the JSON of a string that must not be empty. Raises `ValueError`."""
    text = bytes(raw)
    if text[:1] != b'"' or len(text) == 2:
        raise ValueError("a tool call without id or name")
    return text


def arguments(raw: msgspec.Raw) -> str:
    """Return a call's input as the text of `arguments`. Raises `ValueError` if it is no object."""
    text = bytes(raw)
    if text == b"null":
        return "{}"
    if text[:1] != b"{":
        raise ValueError("a tool call whose input is no object")
    return text.decode()


def decoded(text: bytes) -> str:
    """Return the text of what stands between the quotes of a JSON string."""
    return msgspec.json.decode(b'"%b"' % text, type=str)


def encoded(text: str) -> bytes:
    """Return what stands between the quotes of the JSON string of `text`."""
    return msgspec.json.encode(text)[1:-1]
