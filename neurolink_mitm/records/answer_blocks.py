"""Reads captured answers, streamed or whole, as what they say: text, thinking, calls of tools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.response.sse import SseEvent, SseReader

MOST = 2 * 1024 * 1024
"""Bytes of a stream that are read."""
_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(slots=True)
class Block:
    """A block of content. `kind` is `text`, `thinking`, `tool_use`, `error`, …; `name` that of a tool."""

    kind: str
    name: str = ""
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def events(stream: bytes) -> list[SseEvent]:
    """Return the events of a stream, of its first `MOST` bytes."""
    reader = SseReader()
    return reader.feed(stream[:MOST])


def blocks(body: bytes) -> list[Block]:
    """Return the blocks of an answer; none if it is no answer of these APIs."""
    values = _object(body) if body.lstrip()[:1] == b"{" else None
    if values is not None:
        return [_whole(each) for each in _objects(values.get("content"))] or list(_error(values))
    made: dict[object, Block] = {}
    for event in events(body):
        data = _object(event.data)
        if data is not None:
            for key, kind, name, piece in _pieces(data):
                block = made.setdefault(key, Block(kind, name))
                block.pieces.append(piece)
    return list(made.values())


def _pieces(data: Mapping[str, Any]) -> Iterator[tuple[object, str, str, str]]:
    """Yield the block, its kind and name, and the next piece of its text, of an event of Anthropic's or OpenAI's."""
    start, delta = _dict(data.get("content_block")), _dict(data.get("delta"))
    index = str(data.get("index", 0))
    if start:
        yield index, _str(start.get("type")), _str(start.get("name")), _str(start.get("text"))
    for name, kind in (("text", "text"), ("thinking", "thinking"), ("partial_json", "tool_use")):
        if delta.get(name):
            yield index, kind, "", _str(delta[name])
    if isinstance(data.get("delta"), str):  # OpenAI's responses
        yield _str(data.get("item_id")), _str(data.get("type")), "", _str(data["delta"])
    for choice in _objects(data.get("choices")):
        yield from _of_choice(_dict(choice.get("delta")))
    for each in _error(data):
        yield "error", "error", each.name, each.text


def _of_choice(delta: Mapping[str, Any]) -> Iterator[tuple[object, str, str, str]]:
    for name, kind in (("reasoning_content", "thinking"), ("content", "text")):
        if delta.get(name):
            yield kind, kind, "", _str(delta[name])
    for call in _objects(delta.get("tool_calls")):
        function = _dict(call.get("function"))
        name, arguments = _str(function.get("name")), _str(function.get("arguments"))
        yield f"call {call.get('index')}", "tool_use", name, arguments


def _whole(block: Mapping[str, Any]) -> Block:
    kind = _str(block.get("type"))
    for name in ("text", "thinking"):
        if isinstance(block.get(name), str):
            return Block(kind, "", [block[name]])
    value = block.get("input", block)
    return Block(kind, _str(block.get("name")), [msgspec.json.encode(value).decode()])


def _error(values: Mapping[str, Any]) -> Iterator[Block]:
    if error := _dict(values.get("error")):
        yield Block("error", _str(error.get("type")), [_str(error.get("message"))])


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        return _decode(data)
    except UNREADABLE:
        return None


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _str(value: object) -> str:
    return value if isinstance(value, str) else ""
