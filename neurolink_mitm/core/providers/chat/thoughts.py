"""Hands a model's own thinking back to it, in the form in which its provider wants it.

`adapt` has kept only what the model itself has thought, by the mark in the signature (`signatures`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from neurolink_mitm.core.providers.signatures import signed
from neurolink_mitm.core.providers.traits import Traits

Json = dict[str, Any]

PLACEHOLDER = " "
"""Stands for thinking that is not there: an empty text is refused by some."""


def thoughts(blocks: Sequence[Json], traits: Traits) -> Json:
    """Return the members that an assistant message has besides, for its thinking.

    `reasoning`: DeepSeek and Kimi want the thinking before each call back, whoever has made the call ("Missing
    `reasoning_content` field", "must be passed back to the API"), and ignore any other.
    https://api-docs.deepseek.com/guides/thinking_mode#tool-calls
    https://platform.moonshot.ai/docs/guide/use-kimi-k2-thinking-model

    `blocks`: Claude's has signatures, which are valid on all platforms.
    https://platform.claude.com/docs/en/build-with-claude/extended-thinking
    """
    if traits.thoughts == "blocks":
        kept = [made for block in blocks if (made := _claudes(block, traits))]
        return {"thinking_blocks": kept} if kept else {}
    if traits.thoughts == "reasoning" and any(block["type"] == "tool_use" for block in blocks):
        return {"reasoning_content": "\n".join(_thought(blocks)) or PLACEHOLDER}
    return {}


def tagged(blocks: Sequence[Json], text: str, traits: Traits) -> str:
    """Return the text with the thinking before it, where it comes and goes in tags.

    https://platform.minimax.io/docs/guides/text-m2-function-call
    """
    thought = "\n".join(_thought(blocks)) if traits.thoughts == "tags" else ""
    return f"<think>\n{thought}\n</think>\n\n{text}" if thought else text


def signature(before: Json, traits: Traits) -> Json:
    """Return the member that a call has besides: Gemini's thought signature, which stands in the block `before`.

    https://ai.google.dev/gemini-api/docs/thought-signatures
    """
    if traits.thoughts != "signatures" or before.get("type") != "thinking":
        return {}
    content = signed(before.get("signature"), traits.own_thinking)
    return {"provider_specific_fields": {"thought_signature": content}} if content else {}


def lacks_thinking(messages: Sequence[Json]) -> bool:
    """Tell whether Claude is in the middle of tool calls that did not begin with its thinking.

    "Expected `thinking` or `redacted_thinking`, but found `tool_use`": it can't think then.
    """
    left = (message["content"] for message in reversed(messages))
    lacks = False
    for results in left:
        if not any(block["type"] == "tool_result" for block in results):
            return lacks
        calls = next(left, None)
        if calls and calls[0]["type"] in ("thinking", "redacted_thinking"):
            return False
        lacks = calls is not None
    return lacks


def _thought(blocks: Sequence[Json]) -> Iterator[str]:
    return (
        block["thinking"] for block in blocks if block["type"] == "thinking" and block["thinking"]
    )


def _claudes(block: Json, traits: Traits) -> Json | None:
    """Return a block of Claude's thinking with its true signature."""
    if block["type"] == "redacted_thinking":
        data = signed(block.get("data"), traits.own_thinking) or block.get("data")
        return {"type": "redacted_thinking", "data": data}
    if block["type"] == "thinking":
        true = signed(block.get("signature"), traits.own_thinking)
        true = block.get("signature") if true is None else true
        return {"type": "thinking", "thinking": block["thinking"], "signature": true}
    return None
