"""Writes the messages of an adapted request, in Anthropic's form, as messages of OpenAI's chat API.

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from neurolink_mitm.core.providers.chat.equal_calls import without_equal_calls
from neurolink_mitm.core.providers.chat.thoughts import signature, tagged, thoughts
from neurolink_mitm.core.providers.traits import Traits
from neurolink_mitm.core.request.conversation import THINKING

Json = dict[str, Any]

DOCUMENT_NAME = "document.pdf"
"""OpenAI wants a name beside the data of a file."""
BRIDGE = "I have the results."
"""What the assistant says between results and the user's words, where a provider wants that."""
NO_TEXT = "(no text)"
"""What stands for a text that is empty: several providers refuse an empty one."""


def chat_messages(system: Any, messages: Sequence[Json], traits: Traits) -> list[Json]:
    """Return the messages, beginning with the `system` prompt if there is one."""
    written = [{"role": "system", "content": system}] if system else []
    if not traits.equal_calls:
        messages = list(without_equal_calls(messages))
    for message in messages:
        write = _assistant if message["role"] == "assistant" else _user
        written += write(message["content"], traits)
    last = written[-1] if written else {}
    if traits.last_said and last.get("role") == "assistant" and "tool_calls" not in last:
        last[traits.last_said] = True
    return written


def mark(messages: Sequence[Json], cache_control: Json) -> None:
    """Mark the system prompt (with the tools before it) and the end of the conversation as worth caching.

    https://platform.claude.com/docs/en/build-with-claude/prompt-caching
    """
    for message in (*messages[:1], *messages[-1:]):
        content = message["content"]
        if message["role"] == "tool":
            message["cache_control"] = cache_control  # LiteLLM puts it on the block
        elif isinstance(content, list):
            message["content"] = [*content[:-1], {**content[-1], "cache_control": cache_control}]
        elif content:
            part = {"type": "text", "text": content, "cache_control": cache_control}
            message["content"] = [part]


def _assistant(blocks: Sequence[Json], traits: Traits) -> Iterator[Json]:
    """Yield an assistant message: its texts as one, and its tool calls; null stands for no text."""
    text = tagged(blocks, _joined(blocks), traits)
    calls = list(_calls(blocks, traits))
    if not calls and not text:
        return
    message: Json = {"role": "assistant", "content": text or traits.no_text}
    if calls:
        message["tool_calls"] = calls
    yield message | thoughts(blocks, traits)


def _calls(blocks: Sequence[Json], traits: Traits) -> Iterator[Json]:
    """Yield the calls, each with the signature that stands right before it."""
    before: Json = {}
    for block in blocks:
        if block["type"] == "tool_use":
            yield _call(block) | signature(before, traits)
        before = block


def _call(block: Json) -> Json:
    function = {"name": block["name"], "arguments": _arguments(block.get("input"))}
    return {"id": block["id"], "type": "function", "function": function}


def _arguments(given: Any) -> str:
    """Return the JSON of a call's input, always an object: Ollama and MiniMax refuse all else."""
    made = given if isinstance(given, dict) else {"input": given} if given else {}
    return msgspec.json.encode(made).decode()


def _user(blocks: Sequence[Json], traits: Traits) -> Iterator[Json]:
    """Yield tool messages first, since they must follow their calls; then what else the user says."""
    parts: list[Json] = []
    results = [block for block in blocks if block["type"] == "tool_result"]
    for block in blocks:
        if block["type"] == "tool_result":
            texts, others = _result(block.get("content"))
            yield {"role": "tool", "tool_call_id": block["tool_use_id"], "content": texts}
            parts += others
        elif block["type"] not in THINKING:  # which is the assistant's alone
            parts.append(_part(block))
    if parts and results and not traits.user_after_result:
        yield {"role": "assistant", "content": BRIDGE}
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
