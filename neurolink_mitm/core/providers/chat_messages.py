"""Writes the messages of an adapted request, in Anthropic's form, as messages of OpenAI's chat API.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from neurolink_mitm.core.providers.traits import Traits

Json = dict[str, Any]

DOCUMENT_NAME = "document.pdf"
"""OpenAI wants a name beside the data of a file."""
NO_TEXT = "(no text)"
"""What stands for a text that is empty: several providers refuse an empty one."""


def chat_messages(system: Any, messages: Sequence[Json], traits: Traits) -> list[Json]:
    """Return the messages, beginning with the `system` prompt if there is one."""
    written = [{"role": "system", "content": system}] if system else []
    for message in messages:
        write = _assistant if message["role"] == "assistant" else _user
        written += write(message["content"], traits)
    return written


def _assistant(blocks: Sequence[Json], traits: Traits) -> Iterator[Json]:
    """Yield an assistant message: its texts as one, and its tool calls; null stands for no text."""
    text = _joined(blocks)
    message: Json = {"role": "assistant", "content": text or None}
    calls = [_call(block) for block in blocks if block["type"] == "tool_use"]
    if calls:
        message["tool_calls"] = calls
    if calls or text:
        yield message


def _call(block: Json) -> Json:
    arguments = msgspec.json.encode(block.get("input") or {}).decode()
    function = {"name": block["name"], "arguments": arguments}
    return {"id": block["id"], "type": "function", "function": function}


def _user(blocks: Sequence[Json], traits: Traits) -> Iterator[Json]:
    """Yield tool messages first, since they must follow their calls; then what else the user says."""
    parts: list[Json] = []
    for block in blocks:
        if block["type"] == "tool_result":
            texts, others = _result(block.get("content"))
            yield {"role": "tool", "tool_call_id": block["tool_use_id"], "content": texts}
            parts += others
        else:
            parts.append(_part(block))
    if parts:
        yield {"role": "user", "content": _content(parts)}


def _result(content: Any) -> tuple[str, list[Json]]:
    """Return a result's text, and as parts of a user message what a tool message can't hold.

    https://platform.openai.com/docs/api-reference/chat/create: "only type `text` is supported" there.
    """
    if not isinstance(content, list):
        return content or NO_TEXT, []
    others = [_part(block) for block in content if block["type"] != "text"]
    text = _joined(content, "\n")
    if others:
        text = f"{text}\n[{_ATTACHED}]" if text else f"[{_ATTACHED}]"
    return text or NO_TEXT, others


_ATTACHED = "the tool's pictures or documents follow as a message of the user"


def _part(block: Json) -> Json:
    """Return a text, an image or a PDF as a part of a message's content."""
    kind = block["type"]
    if kind == "text":
        return {"type": "text", "text": block["text"]}
    url = _address(block["source"])
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"filename": DOCUMENT_NAME, "file_data": url}}


def _address(source: Json) -> str:
    if source["type"] == "url":
        return str(source["url"])
    return f"data:{source['media_type']};base64,{source['data']}"


def _content(parts: list[Json]) -> str | list[Json]:
    """Return texts as one string, which every provider accepts; else the parts."""
    return list(parts) if any(part["type"] != "text" for part in parts) else _joined(parts)


def _joined(blocks: Sequence[Json], between: str = "\n\n") -> str:
    return between.join(block["text"] for block in blocks if block["type"] == "text")
