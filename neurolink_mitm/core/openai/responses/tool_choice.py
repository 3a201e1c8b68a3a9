"""`tool_choice` of the Responses API in all its forms.

https://platform.openai.com/docs/api-reference/responses/create#responses-create-tool_choice
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from neurolink_mitm.core.openai.errors import UNSUPPORTED, RequestError
from neurolink_mitm.core.openai.reading import NULL, missing, read, read_items
from neurolink_mitm.core.openai.responses.tools import (
    HOSTED,
    LOCAL_SHELL,
    TOOL_SEARCH,
    ResponseTools,
)
from neurolink_mitm.core.openai.tools import Choice

_AT = "tool_choice"
_WORDS = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "any": "required",
    "tool": "required",
}
"""Types of a `tool_choice` that name no tool, as Cursor writes them."""


class _Name(msgspec.Struct, gc=False):
    name: str


class _Chosen(msgspec.Struct, gc=False):
    """A `tool_choice` that is an object, or a tool that it allows."""

    type: str
    name: str | None = None
    function: _Name | None = None
    namespace: str | None = None
    mode: Literal["auto", "required"] = "auto"
    tools: msgspec.Raw = NULL


_choice = msgspec.json.Decoder(Literal["auto", "none", "required"] | _Chosen | None)
_allowed = msgspec.json.Decoder(list[_Chosen])


def read_choice(tools: ResponseTools, value: msgspec.Raw) -> Choice:
    """Return the choice. Raises `RequestError`."""
    chosen = read(_choice, value, _AT)
    if chosen is None or isinstance(chosen, str):
        return _mode(tools, chosen or "auto")
    if chosen.type in _WORDS and chosen.name is None:
        return _mode(tools, _WORDS[chosen.type])
    if chosen.type != "allowed_tools":
        return Choice("tool", _chosen(tools, chosen, _AT))
    listed = list(read_items(_allowed, chosen.tools, f"{_AT}.tools"))
    only = {each for place, tool in listed for each in _allowed_name(tools, tool, place)}
    if chosen.mode == "required" and not only:
        raise _unsupported("none of the tools that may be called runs here", f"{_AT}.tools")
    return Choice("any" if chosen.mode == "required" else "auto", only=only)


def _mode(tools: ResponseTools, mode: str) -> Choice:
    if mode != "required":
        return Choice("none") if mode == "none" else Choice()
    if not tools.tools:
        words = "Tool choice 'required' must be specified with 'tools' that run here."
        raise RequestError(words, _AT, "invalid_value")
    return Choice("any")


def _allowed_name(tools: ResponseTools, tool: _Chosen, at: str) -> Iterator[bytes]:
    if not HOSTED.fullmatch(tool.type):
        yield _chosen(tools, tool, at)


def _chosen(tools: ResponseTools, tool: _Chosen, at: str) -> bytes:
    """Return the JSON of the name of a tool that must or may be called."""
    name = tool.function.name if tool.function else tool.name
    if name is None and tool.type in (LOCAL_SHELL, TOOL_SEARCH):
        name = tool.type
    elif HOSTED.fullmatch(tool.type):
        raise _unsupported(f"{tool.type} does not run here", at)
    elif tool.type not in ("function", "custom", "namespace"):
        words = f"Invalid '{at}.type': {tool.type[:100]!r}"
        raise RequestError(words, f"{at}.type", "invalid_value")
    if name is None:
        raise missing(f"{at}.name")
    for made in tools.names.candidates(name, tool.namespace):
        if (encoded := msgspec.json.encode(made)) in tools.tools:
            return encoded
    words = f"Tool choice {name[:100]!r} not found in 'tools' parameter."
    raise RequestError(words, at, "invalid_value")


def _unsupported(words: str, at: str) -> RequestError:
    return RequestError(f"Unsupported value: '{at}': {words}", at, UNSUPPORTED)
