"""The tools of a chat request, and the choice among them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Literal

import msgspec

from neurolink_mitm.core.openai.chat import wire
from neurolink_mitm.core.openai.claude import ClaudeTraits
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.reading import NULL, missing, read, read_items
from neurolink_mitm.core.openai.tools import Choice, Tools
from neurolink_mitm.core.openai.turns import tool_name
from neurolink_mitm.core.request.json_spans import LARGE

_WORDS: dict[str, Choice] = {"auto": Choice(), "none": Choice("none"), "required": Choice("any")}
_NATIVE: dict[str, Choice] = {**_WORDS, "any": Choice("any")}
"""The types of Anthropic's `tool_choice`."""


def tools_of(request: wire.Request, traits: ClaudeTraits) -> Tools:
    """Return the tools, with those of the old field `functions`. Raises `RequestError`."""
    tools, functions = bytes(request.tools), bytes(request.functions)
    if len(tools) + len(functions) > LARGE:
        return _read(tools, functions, traits)
    return _read_once(tools, functions, traits).copy()


def _read(tools: bytes, functions: bytes, traits: ClaudeTraits) -> Tools:
    collected = Tools(traits)
    for at, tool in read_items(wire.tools, msgspec.Raw(tools), "tools"):
        _add(collected, tool, at)
    for at, function in read_items(wire.functions, msgspec.Raw(functions), "functions"):
        _add_function(collected, function, at)
    collected.joined(Choice())  # all copies have it
    return collected


def _read_once(tools: bytes, functions: bytes, traits: ClaudeTraits) -> Tools:
    """Return what `_read` returns. Clients send the same tools with each request, and they cost most of one.

    They are compared, which ends at the first difference: a digest would cost more than to compare all that is kept.
    """
    for key, recent in tuple(_recent):  # other threads read, too
        if key == (tools, functions, traits):
            return recent
    collected = _read(tools, functions, traits)
    _recent.appendleft(((tools, functions, traits), collected))
    return collected


_recent: deque[tuple[tuple[bytes, bytes, ClaudeTraits], Tools]] = deque(maxlen=8)


def _add(tools: Tools, tool: wire.Tool, at: str) -> None:
    if tool.input_schema != NULL:  # Anthropic's form
        function = wire.Function(tool.name, tool.description, tool.input_schema, tool.strict)
        _add_function(tools, function, at)
    elif tool.type == "custom" and tool.custom is not None:
        custom = tool.custom
        tools.custom(custom.name, custom.description, custom.format, at=f"{at}.custom")
    elif not tool.type:
        raise missing(f"{at}.type")
    elif tool.type not in ("function", "custom"):
        message = f"Invalid value: '{tool.type}' is no type of tool here: function and custom are"
        raise RequestError(message, f"{at}.type", "invalid_value")
    elif tool.function is not None and tool.type == "function":
        _add_function(tools, tool.function, f"{at}.function")
    elif tool.type == "function" and tool.name != NULL:
        flat = wire.Function(tool.name, tool.description, tool.parameters, tool.strict)
        _add_function(tools, flat, at)
    else:
        raise missing(f"{at}.{tool.type}")


def _add_function(tools: Tools, function: wire.Function, at: str) -> None:
    strict = function.strict is True
    tools.function(function.name, function.description, function.parameters, strict=strict, at=at)


def read_choice(tools: Tools, request: wire.Request) -> Choice:
    """Return the choice. Raises `RequestError` for a tool that is not there."""
    at = "tool_choice"
    if request.tool_choice != NULL:
        choice = _choice(read(wire.tool_choices, request.tool_choice, at), at)
    else:
        at = "function_call"
        named = read(wire.function_choices, request.function_call, at)
        choice = _tool(named, at) if isinstance(named, wire.Named) else _word(named or "auto", at)
    if choice.forces and not tools:
        raise RequestError(f"Invalid '{at}': there are no tools", at, "invalid_value")
    for name in (choice.name, *(choice.only or ())):
        if name and name not in tools:
            raise RequestError(
                f"Invalid '{at}': no tool has the name {name.decode()}", at, "invalid_value"
            )
    return choice


def _choice(choice: str | wire.ToolChoice | None, at: str) -> Choice:
    if not isinstance(choice, wire.ToolChoice):
        return _word(choice or "auto", at)
    if choice.type in _NATIVE:
        return _NATIVE[choice.type]
    if choice.name != NULL and choice.type in ("tool", "function", "custom"):
        return _tool(wire.Named(choice.name), at)
    if choice.type == "allowed_tools" and choice.allowed_tools is not None:
        allowed = choice.allowed_tools
        kinds: dict[str, Literal["auto", "any"]] = {"auto": "auto", "required": "any"}
        if allowed.mode not in kinds:
            param = f"{at}.allowed_tools.mode"
            raise RequestError(
                f"Invalid value: '{allowed.mode}' is none of auto, required", param, "invalid_value"
            )
        at = f"{at}.allowed_tools.tools"
        return Choice(kinds[allowed.mode], only=frozenset(_names(allowed.tools, at)))
    return _tool(_named(choice, at), f"{at}.{choice.type}")


def _names(choices: list[wire.ToolChoice], at: str) -> Iterator[bytes]:
    for number, choice in enumerate(choices):
        here = f"{at}[{number}]"
        yield tool_name(_named(choice, here).name, f"{here}.{choice.type}.name")


def _named(choice: wire.ToolChoice, at: str) -> wire.Named:
    named = {"function": choice.function, "custom": choice.custom}.get(choice.type)
    if choice.type not in ("function", "custom"):
        message = f"Invalid value: '{choice.type}' is none of function, custom, allowed_tools"
        raise RequestError(message, f"{at}.type", "invalid_value")
    return named or wire.Named(NULL)


def _tool(named: wire.Named, at: str) -> Choice:
    return Choice("tool", tool_name(named.name, f"{at}.name"))


def _word(word: str, at: str) -> Choice:
    if word not in _WORDS:
        raise RequestError(
            f"Invalid value: '{word}' is none of {', '.join(_WORDS)}", at, "invalid_value"
        )
    return _WORDS[word]


def is_old(request: wire.Request) -> bool:
    """Tell whether the client has `functions` instead of `tools`, and wants calls in that form: one at a time."""
    return request.functions != NULL and request.tools == NULL
