"""Anthropic's content blocks and their deltas, as raw JSON: what of them goes into chat's form is not decoded."""

from __future__ import annotations

import msgspec

_NONE = msgspec.Raw(b"null")


class Block(msgspec.Struct, gc=False):
    """A content block of any type."""

    type: str = ""
    text: msgspec.Raw = _NONE
    thinking: msgspec.Raw = _NONE
    signature: msgspec.Raw = _NONE
    data: msgspec.Raw = _NONE
    id: msgspec.Raw = _NONE
    name: msgspec.Raw = _NONE
    input: msgspec.Raw = _NONE


class BlockStart(msgspec.Struct, gc=False):
    """The data of `content_block_start`."""

    content_block: Block
    index: int = 0


class Delta(msgspec.Struct, gc=False):
    """A delta of any type."""

    type: str = ""
    text: msgspec.Raw = _NONE
    thinking: msgspec.Raw = _NONE
    partial_json: msgspec.Raw = _NONE
    signature: msgspec.Raw = _NONE


class BlockDelta(msgspec.Struct, gc=False):
    """The data of `content_block_delta`."""

    delta: Delta
    index: int = 0


class Ending(msgspec.Struct, gc=False):
    stop_reason: str | None = None


class MessageDelta(msgspec.Struct, gc=False):
    """The data of `message_delta`."""

    delta: Ending = msgspec.field(default_factory=Ending)


class BlockStop(msgspec.Struct, gc=False):
    """The data of `content_block_stop`."""

    index: int = 0


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
