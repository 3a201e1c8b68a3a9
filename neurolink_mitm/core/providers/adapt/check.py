"""Checks that a request has the form of the Messages API, as far as other providers are told of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec

from neurolink_mitm.core.providers.adapt.form import Json, UnsupportedError

DEEPEST = 100
"""Levels of JSON in messages: what copies and writes them calls itself for each."""
_Positive = Annotated[int, msgspec.Meta(ge=1)]


class _Message(msgspec.Struct):
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Json] | None = None


class _Choice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Text(msgspec.Struct):
    text: str | None = None


class _Request(msgspec.Struct):
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    system: str | list[_Text] | None = None
    tools: list[Json] | None = None
    tool_choice: _Choice | None = None
    max_tokens: _Positive | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stream: bool | None = None
    thinking: Json | None = None
    output_config: Json | None = None
    output_format: Json | None = None


class _ToolUse(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(min_length=1)]
    name: Annotated[str, msgspec.Meta(min_length=1)]
    input: Json | None = None


class _ToolResult(msgspec.Struct):
    tool_use_id: Annotated[str, msgspec.Meta(min_length=1)]
    content: str | list[Json] | None = None


class _Source(msgspec.Struct):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    content: str | list[Json] | None = None


class _Base64(msgspec.Struct):
    media_type: str
    data: str


class _Link(msgspec.Struct):
    url: str


class _Sourced(msgspec.Struct):
    source: _Source


_BLOCKS: dict[str, type[msgspec.Struct]] = {
    "text": _Text,
    "tool_use": _ToolUse,
    "tool_result": _ToolResult,
    "image": _Sourced,
    "document": _Sourced,
}
_SOURCES: dict[str, type[msgspec.Struct]] = {"base64": _Base64, "url": _Link}


def check(request: Json) -> None:
    """Raise `UnsupportedError`, which names the place, if `request` has another form."""
    for name in ("messages", "output_config"):
        if _is_too_deep(request.get(name)):
            raise UnsupportedError(f"{name}: nested more than {DEEPEST} levels deep")
    _is(_Request, request, "")
    for number, message in enumerate(request["messages"]):
        for place, block in _blocks(message.get("content"), f"messages.{number}.content"):
            kind = block.get("type")
            if not isinstance(kind, str):
                raise UnsupportedError(f"{place}.type: a string is required")
            if kind in _BLOCKS:
                _is(_BLOCKS[kind], block, place)
            if kind in ("image", "document") and block["source"]["type"] in _SOURCES:
                _is(_SOURCES[block["source"]["type"]], block["source"], f"{place}.source")


def _is_too_deep(value: Any) -> bool:
    rest = [(value, 0)]
    while rest:
        each, depth = rest.pop()
        inner = each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
        if inner and depth >= DEEPEST:
            return True
        rest.extend((item, depth + 1) for item in inner if isinstance(item, dict | list))
    return False


def _blocks(content: Any, place: str) -> Iterator[tuple[str, Json]]:
    """Yield the blocks, and those of results and documents, with their places."""
    for number, block in enumerate(content if isinstance(content, list) else ()):
        at = f"{place}.{number}"
        if not isinstance(block, dict):
            raise UnsupportedError(f"{at}: Expected `object`")
        yield at, block
        if block.get("type") == "tool_result":
            yield from _blocks(block.get("content"), f"{at}.content")
        elif block.get("type") == "document":
            yield from _blocks(block["source"].get("content"), f"{at}.source.content")


def _is(kind: type[msgspec.Struct], value: Json, place: str) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as e:
        words, _, path = str(e).partition(" - at `$")
        inner = path.rstrip("`").replace("[", ".").replace("]", "").strip(".")
        where = ".".join(each for each in (place, inner) if each)
        raise UnsupportedError(f"{where}: {words}" if where else words) from e
