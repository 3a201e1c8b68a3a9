"""Anthropic's own blocks within chat messages: Cursor's agent writes its tools so for models that it takes for Claude.

    {"role": "assistant", "content": [{"type": "tool_use", "id": …, "name": …, "input": {…}}]}
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": …, "content": …}]}

https://github.com/automazeio/vibeproxy/issues/411, https://forum.cursor.com/t/145588
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from neurolink_mitm.core.openai.chat.thinking import thinking_block
from neurolink_mitm.core.openai.content import assistant_blocks, user_blocks
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.reading import NULL, is_object, read
from neurolink_mitm.core.openai.turns import ASSISTANT, USER, Turns, tool_name

_OF_ASSISTANT = (b'"tool_use"', b'"thinking"', b'"redacted_thinking"')


class _Block(msgspec.Struct, gc=False):
    type: str = ""
    id: str = ""
    name: msgspec.Raw = NULL
    input: msgspec.Raw = NULL
    tool_use_id: str = ""
    content: msgspec.Raw = NULL
    is_error: bool | None = None


_list = msgspec.json.Decoder(list[msgspec.Raw])
_block = msgspec.json.Decoder(_Block)


def in_user(content: bytes) -> bool:
    """Tell whether a user's message may have such blocks: mere words can look so."""
    return content.startswith(b"[") and b'"tool_result"' in content


def in_assistant(content: bytes) -> bool:
    return content.startswith(b"[") and any(name in content for name in _OF_ASSISTANT)


def add_user(turns: Turns, content: msgspec.Raw, at: str) -> None:
    """Add a user's message that may hold results. Raises `RequestError`."""
    for number, raw, block in _blocks(content, at):
        here = f"{at}[{number}]"
        if block.type == "tool_result":
            blocks = user_blocks(block.content, f"{here}.content")
            param = f"{here}.tool_use_id"
            turns.result(block.tool_use_id, blocks, param, failed=block.is_error is True)
        else:
            turns.say(USER, user_blocks(msgspec.Raw(b"[%b]" % raw), at, number))


def add_assistant(turns: Turns, content: msgspec.Raw, at: str) -> None:
    """Add an assistant's message that may hold calls and thinking. Raises `RequestError`."""
    blocks = list(_blocks(content, at))
    for number, raw, block in blocks:
        here = f"{at}[{number}]"
        if block.type == "tool_use":
            name = tool_name(block.name, f"{here}.name")
            turns.call(block.id, name, _input(block.input, f"{here}.input"))
        elif block.type in ("thinking", "redacted_thinking"):
            thought = thinking_block(raw)
            last = number + 1 == len(blocks)  # where Anthropic refuses thinking
            turns.say(ASSISTANT, [thought] if thought and not last else [])
        else:
            turns.say(ASSISTANT, assistant_blocks(msgspec.Raw(b"[%b]" % raw), at, number))


def _blocks(content: msgspec.Raw, at: str) -> Iterator[tuple[int, bytes, _Block]]:
    listed: list[msgspec.Raw] = read(_list, content, at)
    for number, raw in enumerate(listed):
        yield number, bytes(raw), read(_block, raw, f"{at}[{number}]")


def _input(value: msgspec.Raw, at: str) -> bytes:
    if not is_object(bytes(value)):
        raise RequestError(f"Invalid type for '{at}': expected an object", at, "invalid_type")
    return bytes(value)
