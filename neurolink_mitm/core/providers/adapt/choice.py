"""Adapts `tool_choice`: to the fields that a provider has, else to words in the system prompt."""

from __future__ import annotations

from typing import Any

from neurolink_mitm.core.providers.adapt.form import Json, members
from neurolink_mitm.core.providers.traits import Traits

ANY = "Call at least one of the tools now, rather than answer in words."
NONE = "Call no tool now; answer in words."
ONE = "Call at most one tool at a time."


def choose(adapted: Json, traits: Traits) -> list[str]:
    """Set `tools` and `tool_choice`; return what has to be said in words instead."""
    choice = members(adapted.pop("tool_choice", None))
    kind, name = choice.get("type"), choice.get("name")
    if kind == "none" and "none" not in traits.choices and not _needs_tools(adapted, traits):
        adapted["tools"] = []
    tools = adapted.pop("tools") or _declared(adapted, traits)
    if not tools:
        return []
    kind, tools, words = _kind(kind, name, tools, traits)
    adapted["tools"] = tools
    made: Json = {"type": kind}
    if kind == "tool":
        made["name"] = name
    if choice.get("disable_parallel_tool_use") is True and kind != "none":
        made |= {"disable_parallel_tool_use": True} if traits.one_call else {}
        words += [] if traits.one_call else [ONE]
    if made != {"type": "auto"}:
        adapted["tool_choice"] = made
    return words


def _kind(
    kind: Any, name: Any, tools: list[Json], traits: Traits
) -> tuple[str, list[Json], list[str]]:
    """Return the kind of choice that the provider has, the tools to choose from, and words for the rest."""
    named = [tool for tool in tools if tool["name"] == name]
    if kind not in ("any", "tool", "none") or (kind == "tool" and not named):
        return "auto", tools, []
    if kind in traits.choices:
        return kind, tools, []
    if kind == "tool" and "any" in traits.choices:
        return "any", named, []
    words = {"any": ANY, "none": NONE, "tool": f"Call the tool {name} now."}
    return "auto", tools, [words[kind]]


def _needs_tools(adapted: Json, traits: Traits) -> bool:
    return traits.tools_with_calls and bool(_called(adapted))


def _declared(adapted: Json, traits: Traits) -> list[Json]:
    """Return tools for the calls in the history, where a provider insists that there are some.

    Bedrock: "The toolConfig field must be defined when using toolUse and toolResult content blocks."
    """
    if not traits.tools_with_calls:
        return []
    schema = {"type": "object", "properties": {}}
    return [{"name": name, "input_schema": dict(schema)} for name in _called(adapted)]


def _called(adapted: Json) -> list[str]:
    blocks = (block for message in adapted["messages"] for block in message["content"])
    return list(dict.fromkeys(block["name"] for block in blocks if block["type"] == "tool_use"))
