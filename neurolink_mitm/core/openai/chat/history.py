"""The messages of a chat request as turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from neurolink_mitm.core.openai.chat import anthropic_blocks, wire
from neurolink_mitm.core.openai.chat.thinking import thinking_blocks
from neurolink_mitm.core.openai.content import (
    assistant_blocks,
    system_blocks,
    text_block,
    user_blocks,
)
from neurolink_mitm.core.openai.custom_input import CUSTOM_INPUT
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.reading import (
    NULL,
    is_object,
    missing,
    string,
    text_of,
    with_whole_letters,
)
from neurolink_mitm.core.openai.turns import ASSISTANT, USER, Turns, tool_name

_LEGACY = "function "
"""Begins what stands for the id of a function's call in the old form, which has none."""


def add_message(turns: Turns, message: wire.Message, at: str) -> None:
    """Add a message to the turns. Raises `RequestError`."""
    add = _ROLES.get(message.role)
    if add is None:
        raise RequestError(
            f"Invalid value: '{message.role}' is none of {', '.join(_ROLES)}",
            f"{at}.role",
            "invalid_value",
        )
    add(turns, message, at)


def _system(turns: Turns, message: wire.Message, at: str) -> None:
    turns.system += system_blocks(message.content, f"{at}.content")


def _user(turns: Turns, message: wire.Message, at: str) -> None:
    if anthropic_blocks.in_user(bytes(message.content)):
        anthropic_blocks.add_user(turns, message.content, f"{at}.content")
    else:
        turns.say(USER, user_blocks(message.content, f"{at}.content"))


def _assistant(turns: Turns, message: wire.Message, at: str) -> None:
    if anthropic_blocks.in_assistant(bytes(message.content)):
        anthropic_blocks.add_assistant(turns, message.content, f"{at}.content")
        return
    words = assistant_blocks(message.content, f"{at}.content")
    details, blocks = message.reasoning_details, message.thinking_blocks
    thinks = details is not NULL or blocks is not NULL
    if thinks and (words or message.tool_calls):  # Anthropic refuses thinking at the end of a turn
        turns.say(ASSISTANT, thinking_blocks(bytes(details), bytes(blocks)))
    turns.say(ASSISTANT, words)
    if message.refusal and (refusal := text_block(msgspec.json.encode(message.refusal))):
        turns.say(ASSISTANT, [refusal])
    for number, call in enumerate(message.tool_calls or ()):
        _call(turns, call, f"{at}.tool_calls[{number}]")
    if function := message.function_call:
        at = f"{at}.function_call"
        name = tool_name(function.name, f"{at}.name")
        turns.call(_LEGACY + name.decode(), name, _arguments(function.arguments, f"{at}.arguments"))


def _call(turns: Turns, call: wire.Call, at: str) -> None:
    if call.custom is not None and call.type == "custom":
        name = tool_name(call.custom.name, f"{at}.custom.name")
        text = string(call.custom.input, f"{at}.custom.input")
        turns.call(call.id or "", name, b'{"%b":%b}' % (CUSTOM_INPUT.encode(), text))
        return
    if call.type not in ("function", None):
        raise RequestError(
            f"Invalid value: '{call.type}' is no type of call", f"{at}.type", "invalid_value"
        )
    if call.function is None:
        raise missing(f"{at}.function")
    at = f"{at}.function"
    name = tool_name(call.function.name, f"{at}.name")
    turns.call(call.id or "", name, _arguments(call.function.arguments, f"{at}.arguments"))


def _arguments(arguments: msgspec.Raw, at: str) -> bytes:
    """Return the arguments of a call: a JSON object, which stands in a string."""
    if bytes(arguments) == b"null":
        return b"{}"
    text = with_whole_letters(text_of(arguments, at).encode())
    if not text.strip(b" \t\r\n"):
        return b"{}"
    if not is_object(text):
        raise RequestError(f"Invalid '{at}': not the JSON of an object", at, "invalid_value")
    return text


def _tool(turns: Turns, message: wire.Message, at: str) -> None:
    blocks = user_blocks(message.content, f"{at}.content")
    turns.result(message.tool_call_id or "", blocks, f"{at}.tool_call_id")


def _function(turns: Turns, message: wire.Message, at: str) -> None:
    blocks = user_blocks(message.content, f"{at}.content")
    name = msgspec.json.encode(message.name).decode()
    turns.result(_LEGACY + name, blocks, f"{at}.name")


_ROLES: Mapping[str, Callable[[Turns, wire.Message, str], None]] = {
    "system": _system,
    "developer": _system,
    "user": _user,
    "assistant": _assistant,
    "tool": _tool,
    "function": _function,
}
