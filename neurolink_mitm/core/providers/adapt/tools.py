"""Adapts the list of tools: their names, schemas and number."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from neurolink_mitm.core.providers.adapt.form import Json, UnsupportedError
from neurolink_mitm.core.providers.adapt.schemas import adapted_schema
from neurolink_mitm.core.providers.traits import Traits

_STRANGE = re.compile(r"[^a-zA-Z0-9_-]")
MORE = "… (more in the system prompt)"
_FEW = 5
"""Names of tools that a note lists."""


def client_tools(tools: Any, traits: Traits) -> list[Json]:
    """Return the tools that the client runs, not Anthropic (web search, code execution), each name once.

    Raises:
        UnsupportedError: a tool has no name, or a schema that takes no object.
    """
    found: dict[str, Json] = {}
    for number, tool in enumerate(tools or ()):
        if tool.get("type") in (None, "custom"):
            made = _tool(tool, number, traits)
            found.setdefault(made["name"], made)
    return list(found.values())


def _tool(tool: Json, number: int, traits: Traits) -> Json:
    name, description = tool.get("name"), tool.get("description")
    if not isinstance(name, str) or not name:
        raise UnsupportedError(f"tools.{number}.name: a name is required")
    try:
        schema = adapted_schema(tool.get("input_schema"), traits)
    except ValueError as e:
        raise UnsupportedError(f"tools.{number} ({name}): {e}") from e
    words = isinstance(description, str) and description.strip()
    told = {"description": description} if words else {}
    # Gemini refused objects without properties; without parameters there is nothing to refuse
    inner = (
        {"input_schema": schema} if schema.get("properties") or traits.schema != "gemini" else {}
    )
    return {"name": name, **told, **inner}


def fewer(tools: list[Json], request: Json, traits: Traits) -> tuple[list[Json], list[str]]:
    """Return no more tools than the model takes, and a note for the user about those that are left out.

    Those that the conversation does not use go first, the last ones first.
    """
    most = traits.most_tools
    if most is None or len(tools) <= most:
        return tools, []
    used = set(_used(request))
    spare = [tool["name"] for tool in tools if tool["name"] not in used]
    out = [*reversed(spare), *(tool["name"] for tool in reversed(tools) if tool["name"] in used)]
    gone = set(out[: len(tools) - most])
    named = [tool["name"] for tool in tools if tool["name"] in gone]
    more = ", …" if len(named) > _FEW else ""
    note = (
        f"{len(tools)} tools are more than the {most} that this model takes; left out:"
        f" {', '.join(named[:_FEW])}{more} ({len(named)})"
    )
    return [tool for tool in tools if tool["name"] not in gone], [note]


def _used(request: Json) -> Iterator[str]:
    """Yield the names of tools that were called, found by a search, or must be called."""
    choice = request.get("tool_choice")
    if isinstance(choice, dict) and choice.get("name"):
        yield choice["name"]
    for message in request["messages"]:
        yield from _named(message.get("content"))


def _named(content: Any) -> Iterator[str]:
    for block in content if isinstance(content, list) else ():
        if block.get("type") == "tool_use":
            yield block["name"]
        elif block.get("type") == "tool_reference" and isinstance(block.get("tool_name"), str):
            yield block["tool_name"]
        elif block.get("type") == "tool_result":
            yield from _named(block.get("content"))


def describe(adapted: Json, traits: Traits) -> list[str]:
    """Shorten descriptions that are too long; return them whole, for the system prompt."""
    most = traits.longest_description
    words: list[str] = []
    for tool in adapted.get("tools", ()):
        description = tool.get("description", "")
        if most and len(description) > most:
            words.append(f"# The tool {tool['name']}\n{description}")
            tool["description"] = description[: most - len(MORE)] + MORE
    return words


def rename(adapted: Json, traits: Traits) -> dict[str, str]:
    """Change names of tools that the provider refuses, wherever they stand. Return the client's names by the new ones.

    MCP servers have long ones. OpenAI: `^[a-zA-Z0-9_-]{1,64}$`; Gemini and Kimi: the first is a letter.
    """
    names: dict[str, str] = {}
    for named in _places(adapted):
        name = named["name"]
        named["name"] = new = _taken(name, traits)
        if new != name:
            names[new] = name
    return names


def _places(adapted: Json) -> Iterable[Json]:
    """Yield the objects whose `name` is that of a tool; they belong to `adapted` alone."""
    yield from adapted.get("tools", ())
    if adapted.get("tool_choice", {}).get("name"):
        adapted["tool_choice"] = {**adapted["tool_choice"]}
        yield adapted["tool_choice"]
    for message in adapted["messages"]:
        yield from (block for block in message["content"] if block["type"] == "tool_use")


def _taken(name: str, traits: Traits) -> str:
    """Return a name that the provider takes, the same for the same one, and another for another."""
    plain = _STRANGE.sub("_", name)
    if traits.names_begin_with_letters and not plain[0].isalpha():
        plain = f"t_{plain}"
    if plain == name and len(name) <= traits.longest_name:
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{plain[: traits.longest_name - 9]}_{digest}"
