"""Adapts the list of tools, and their names wherever they stand."""

from __future__ import annotations

import hashlib
from typing import Any

from neurolink_mitm.core.providers.adapt.form import Json
from neurolink_mitm.core.providers.traits import Traits


def client_tools(tools: Any) -> list[Json]:
    """Return the tools that the client runs, not Anthropic (web search, code execution)."""
    return [_tool(tool) for tool in tools or () if _is_client_tool(tool)]


def _is_client_tool(tool: Json) -> bool:
    return tool.get("type", "custom") == "custom" and "name" in tool


def _tool(tool: Json) -> Json:
    members = ("name", "description", "input_schema")
    return {name: tool[name] for name in members if name in tool}


def shorten(adapted: Json, names: dict[str, str], traits: Traits) -> None:
    """Shorten long names of tools (MCP servers have them) in tools, tool choice and history; add them to `names`."""
    longest = traits.longest_name
    for tool in adapted.get("tools", ()):
        tool["name"] = _short(tool["name"], names, longest)
    choice = adapted.get("tool_choice")
    if isinstance(choice, dict) and isinstance(choice.get("name"), str):
        adapted["tool_choice"] = {**choice, "name": _short(choice["name"], names, longest)}
    for message in adapted["messages"]:
        for block in message["content"]:
            if block["type"] == "tool_use" and isinstance(block.get("name"), str):
                block["name"] = _short(block["name"], names, longest)


def _short(name: str, names: dict[str, str], longest: int) -> str:
    if len(name) <= longest:
        return name
    short = f"{name[: longest - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    names[short] = name
    return short
