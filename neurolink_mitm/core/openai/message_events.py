"""A whole Messages response as the events of a stream, and the other way: upstream may not do as it was asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE

Event = tuple[str, bytes]
"""Name and data."""

_EMPTY = msgspec.Raw(b"{}")


class _Message(msgspec.Struct):
    content: list[msgspec.Raw]
    stop_reason: str | None
    id: str = ""
    type: str = "message"
    role: str = "assistant"
    model: str = ""
    stop_sequence: str | None = None
    usage: dict[str, Any] = {}


class _Block(msgspec.Struct):
    type: str
    text: str = ""
    thinking: str = ""
    signature: str = ""
    input: msgspec.Raw = _EMPTY


_BEGINNINGS: dict[str, dict[str, Any]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
    "server_tool_use": {"input": {}},
}
_message = msgspec.json.Decoder(_Message)
_block = msgspec.json.Decoder(_Block)
_encode = msgspec.json.encode


def events_of(message: bytes) -> Iterator[Event]:
    """Yield the events of a stream that tells `message`. Raises `ValueError` where it is no Messages response."""
    try:
        whole = _message.decode(message)
        blocks = [(_block.decode(raw), raw) for raw in whole.content]
    except UNREADABLE as e:
        raise ValueError("no Messages response") from e
    start = msgspec.structs.replace(whole, content=[], stop_reason=None, stop_sequence=None)
    yield _event("message_start", message=start)
    for index, (block, raw) in enumerate(blocks):
        yield _event("content_block_start", index=index, content_block=_started(block, raw))
        for delta in _deltas(block):
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    end = {"stop_reason": whole.stop_reason, "stop_sequence": whole.stop_sequence}
    yield _event("message_delta", delta=end, usage=whole.usage)
    yield _event("message_stop")


def _event(name: str, **members: Any) -> Event:
    return name, _encode({"type": name, **members})


def _started(block: _Block, raw: msgspec.Raw) -> object:
    """Return the block as it begins, without what its deltas bring."""
    if block.type not in _BEGINNINGS:
        return raw
    return msgspec.json.decode(raw, type=dict[str, msgspec.Raw]) | _BEGINNINGS[block.type]


def _deltas(block: _Block) -> Iterator[dict[str, Any]]:
    if block.type == "text":
        yield {"type": "text_delta", "text": block.text}
    elif block.type == "thinking":
        yield {"type": "thinking_delta", "thinking": block.thinking}
        yield {"type": "signature_delta", "signature": block.signature}
    elif block.type in ("tool_use", "server_tool_use"):
        yield {"type": "input_json_delta", "partial_json": bytes(block.input).decode()}


class _Members(msgspec.Struct):
    """The members of an event: those of all types."""

    index: int = 0
    message: dict[str, Any] = {}
    content_block: dict[str, Any] = {}
    delta: dict[str, Any] = {}
    usage: dict[str, Any] = {}


_members = msgspec.json.Decoder(_Members)
_MEMBERS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}


def message_of(events: Iterable[Event]) -> bytes:
    """Return the whole Messages response that the events tell. Raises `ValueError` where they have no good end."""
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    pieces: dict[tuple[int, str], list[str]] = {}
    ended = False
    try:
        for name, data in events:
            event = _members.decode(data)
            if name == "message_start":
                message = event.message
            elif name == "content_block_start":
                blocks[event.index] = event.content_block
            elif name == "content_block_delta":
                _collect(event, pieces)
            elif name == "message_delta":
                message |= event.delta | {"usage": message.get("usage", {}) | event.usage}
            ended = ended or name == "message_stop"
        if not message or not ended:
            raise ValueError("the stream has no end")
        _fill(blocks, pieces)
        return _encode(message | {"content": [blocks[index] for index in sorted(blocks)]})
    except (*UNREADABLE, KeyError, TypeError) as e:
        raise ValueError("no stream of a Messages response") from e


def _collect(event: _Members, pieces: dict[tuple[int, str], list[str]]) -> None:
    kind = event.delta.get("type")
    if kind == "input_json_delta":
        pieces.setdefault((event.index, "input"), []).append(event.delta["partial_json"])
    elif kind == "citations_delta":
        return
    elif member := _MEMBERS.get(kind or ""):
        pieces.setdefault((event.index, member), []).append(event.delta[member])


def _fill(blocks: dict[int, dict[str, Any]], pieces: dict[tuple[int, str], list[str]]) -> None:
    """Put the pieces of each block's members into it."""
    for (index, member), texts in pieces.items():
        text = "".join(texts)
        if member == "input":
            msgspec.json.decode(text or "{}")  # whole JSON, or it raises
            blocks[index][member] = msgspec.Raw((text or "{}").encode())
        else:
            blocks[index][member] = blocks[index].get(member, "") + text
