"""Makes one call of equal calls in a message.

Gemini before 3 gives calls no ids, and LiteLLM leaves out a call that equals one before it in the same message; then
"the number of function response parts" is not "equal to the number of function call parts".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

Json = dict[str, Any]


def without_equal_calls(messages: Sequence[Json]) -> Iterator[Json]:
    """Yield the messages; the result of a call that is left out joins that of the equal one."""
    first: dict[str, str] = {}
    for message in messages:
        if message["role"] == "assistant":
            first = _first(message["content"])
            blocks = [
                b
                for b in message["content"]
                if first.get(b.get("id", ""), b.get("id")) == b.get("id")
            ]
        else:
            blocks = _joined(message["content"], first)
        yield {**message, "content": blocks}


def _first(blocks: Sequence[Json]) -> dict[str, str]:
    """Return, by the id of each call, the id of the first one that equals it."""
    ids: dict[tuple[str, bytes], str] = {}
    calls = [block for block in blocks if block["type"] == "tool_use"]
    return {
        call["id"]: ids.setdefault(
            (call["name"], msgspec.json.encode(call.get("input"), order="sorted")), call["id"]
        )
        for call in calls
    }


def _joined(blocks: Sequence[Json], first: Mapping[str, str]) -> list[Json]:
    made: list[Json] = []
    results: dict[str, Json] = {}
    for block in blocks:
        id_ = block.get("tool_use_id")
        kept = results.get(first.get(id_, id_)) if isinstance(id_, str) else None
        if kept is not None:
            kept["content"] = [*_list(kept["content"]), *_list(block["content"])]
            continue
        block = dict(block)
        if isinstance(id_, str):
            block["tool_use_id"] = first.get(id_, id_)
            results[block["tool_use_id"]] = block
        made.append(block)
    return made


def _list(content: Any) -> list[Json]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []
