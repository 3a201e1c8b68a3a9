"""The parts of another provider's answer, as Anthropic could have sent them: tool calls, stop reasons, token counts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE

Json = dict[str, Any]

STOP_REASONS = frozenset(
    {"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"}
)
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
LONGEST_NAME = 128
"""Characters of a tool's name that Anthropic accepts: models invent others."""
NO_NAMES: Mapping[str, str] = {}


def words(block: Json, member: str) -> str:
    """Return the text of a block; nothing for a blank one."""
    text = block.get(member)
    return text if isinstance(text, str) and text.strip() else ""


def tool_use(block: Json, text: str, tool_names: Mapping[str, str] = NO_NAMES) -> Json | None:
    """Return a tool call with its input `text` as an object; None if that is invalid. The id may be empty."""
    given = block.get("input")
    if text.strip():
        try:
            given = msgspec.json.decode(text.encode())
        except UNREADABLE:
            return None
    name = block.get("name")
    if not isinstance(given or {}, dict) or not name:
        return None
    return {
        "type": "tool_use",
        "id": block.get("id"),
        "name": tool_names.get(str(name)) or _NOT_IN_NAMES.sub("_", str(name))[:LONGEST_NAME],
        "input": given or {},
    }


def ending(delta: Json, *, tools: int) -> Json:
    """Return stop reason and sequence; the reason `stop_sequence` needs its sequence."""
    reason = stop_reason(delta.get("stop_reason"), tools=tools)
    sequence = delta.get("stop_sequence")
    if reason == "stop_sequence" and isinstance(sequence, str):
        return {"stop_reason": reason, "stop_sequence": sequence}
    reason = "end_turn" if reason == "stop_sequence" else reason
    return {"stop_reason": reason, "stop_sequence": None}


def stop_reason(reason: object, *, tools: int) -> str:
    """Return the stop reason that fits: `tool_use` if and only if a tool is called."""
    if reason == "max_tokens":
        return "max_tokens"
    if tools:
        return "tool_use"
    valid = isinstance(reason, str) and reason in STOP_REASONS - {"tool_use"}
    return str(reason) if valid else "end_turn"


def counts(usage: object) -> Json:
    """Return the token counts that are valid numbers."""
    names: Iterable[str] = (
        "input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens",
    )  # fmt: skip
    values = {name: object_of(usage).get(name) for name in names}
    return {name: n for name, n in values.items() if type(n) is int and n >= 0}


def object_of(value: object) -> Json:
    """Return `value` if it is an object; else an empty one."""
    return value if isinstance(value, dict) else {}
