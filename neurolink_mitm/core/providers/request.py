"""Adapts a request in Anthropic's form to other providers.

Fields are kept by a list of those that others know, so that a new field of Anthropic's never breaks the fallback.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

FIELDS = frozenset(
    {"messages", "system", "tools", "tool_choice", "max_tokens", "stop_sequences", "temperature",
     "top_p", "thinking", "stream"}
)  # fmt: skip
"""Fields that are kept; not `metadata` (the user's account), betas, service tiers, servers, cache marks."""
LONGEST_NAME = 64
"""Characters of a tool's name that every provider accepts."""
ERROR_MARK = "[the tool failed]"
"""Put before a tool's result that is an error: other APIs have no field for that."""
MIN_BUDGET = 1024
"""Tokens of Anthropic's smallest thinking budget."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Adapted:
    """An adapted request, and the client's names of tools by the shortened ones in it."""

    request: Json
    tool_names: Mapping[str, str]


class UnsupportedError(ValueError):
    """The provider can't serve the request; the text is for the client."""


def adapt(
    request: Json,
    *,
    output_limit: int | None = None,
    documents: bool = True,
    links: bool = True,
    thinking_as_effort: bool = False,
) -> Adapted:
    """Return the request for another provider. `output_limit` is the model's largest response in tokens.

    `documents`: the model takes PDFs. `links`: the provider fetches images by URL; else the URL is sent as text.
    `thinking_as_effort`: a thinking budget becomes an effort.

    Raises:
        UnsupportedError: the model takes no documents, or this is no request of the Messages API.
    """
    try:
        return _adapt(request, output_limit, _Takes(documents, links), thinking_as_effort)
    except (AttributeError, KeyError, TypeError, RecursionError) as e:  # a value of another type
        raise UnsupportedError("The request has not the form of the Messages API.") from e


@dataclass(frozen=True, slots=True)
class _Takes:
    documents: bool
    links: bool


def _adapt(
    request: Json, output_limit: int | None, takes: _Takes, thinking_as_effort: bool
) -> Adapted:
    names: dict[str, str] = {}
    adapted = {name: value for name, value in request.items() if name in FIELDS}
    adapted["messages"] = _merged(_messages(request.get("messages"), takes))
    if "system" in adapted:
        adapted["system"] = _system(adapted["system"])
    adapted["tools"] = [_tool(tool) for tool in adapted.get("tools") or () if _is_client_tool(tool)]
    if not adapted["tools"]:
        del adapted["tools"]
        adapted.pop("tool_choice", None)
    _bound(adapted, output_limit)
    _think(adapted, request, as_effort=thinking_as_effort)
    _shorten(adapted, names)
    return Adapted(adapted, names)


def _bound(request: Json, limit: int | None) -> None:
    """Lower `max_tokens` to the model's limit, and the thinking budget below that."""
    tokens = request.get("max_tokens")
    if limit and isinstance(tokens, int) and tokens > limit:
        request["max_tokens"] = tokens = limit
    thinking = _object(request.get("thinking"))
    budget = thinking.get("budget_tokens")
    if isinstance(tokens, int) and isinstance(budget, int) and budget >= tokens:
        if tokens <= MIN_BUDGET:
            del request["thinking"]
        else:
            request["thinking"] = {**thinking, "budget_tokens": max(MIN_BUDGET, tokens // 2)}


def _think(adapted: Json, request: Json, *, as_effort: bool) -> None:
    """Set thinking and effort. `disabled` is the default of others, and some refuse it."""
    thinking: Json = _object(adapted.get("thinking"))
    output = _object(request.get("output_config"))
    config = {name: output[name] for name in ("effort", "format") if name in output}
    kind = thinking.get("type")
    if kind == "disabled":
        del adapted["thinking"]
    elif kind == "enabled" and as_effort:
        adapted["thinking"] = {"type": "adaptive"}
        config.setdefault("effort", effort(thinking.get("budget_tokens")))
    if config:
        adapted["output_config"] = config


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def effort(budget: Any) -> str:
    """Return the effort that corresponds to a thinking budget (tokens)."""
    if not isinstance(budget, int) or budget > 8192:
        return "high"
    return "low" if budget <= 2048 else "medium"


def _shorten(adapted: Json, names: dict[str, str]) -> None:
    """Shorten long names of tools (MCP servers have them) in tools, tool choice and history."""
    for tool in adapted.get("tools", ()):
        tool["name"] = _short(tool["name"], names)
    choice = adapted.get("tool_choice")
    if isinstance(choice, dict) and isinstance(choice.get("name"), str):
        adapted["tool_choice"] = {**choice, "name": _short(choice["name"], names)}
    for message in adapted["messages"]:
        for block in message["content"]:
            if block["type"] == "tool_use" and isinstance(block.get("name"), str):
                block["name"] = _short(block["name"], names)


def _short(name: str, names: dict[str, str]) -> str:
    if len(name) <= LONGEST_NAME:
        return name
    short = f"{name[: LONGEST_NAME - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    names[short] = name
    return short


def _system(system: Any) -> Any:
    """Join the system blocks: some providers join them without a space."""
    if not isinstance(system, list):
        return system
    return "\n\n".join(block["text"] for block in system if block.get("text"))


def _messages(messages: Any, takes: _Takes) -> Iterator[Json]:
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        adapted = [each for block in blocks or () for each in _block(block, takes)]
        if not adapted:
            continue
        # Claude Code sends system messages within the conversation, which others don't know
        role = "assistant" if message.get("role") == "assistant" else "user"
        yield {"role": role, "content": adapted}


def _merged(messages: Iterable[Json]) -> list[Json]:
    """Merge messages of one role, so that turns alternate: most providers want that."""
    turns: list[Json] = []
    for message in messages:
        if turns and turns[-1]["role"] == message["role"]:
            turns[-1] = {**message, "content": [*turns[-1]["content"], *message["content"]]}
        else:
            turns.append(message)
    return turns


def _block(block: Json, takes: _Takes) -> Iterator[Json]:
    """Yield the adapted block: none for thinking, which only its author can read; a text for server tools."""
    kind = block.get("type")
    if kind == "text":
        if block.get("text"):
            yield {"type": "text", "text": block["text"]}
    elif kind == "document":
        yield _document(block, takes)
    elif kind == "tool_result":
        yield _tool_result(block, takes)
    elif kind == "image":
        yield _image(block.get("source"), takes)
    elif kind == "tool_use":
        members = ("type", "id", "name", "input")
        yield {name: block[name] for name in members if name in block}
    elif kind == "server_tool_use":
        yield {"type": "text", "text": f"[{block.get('name')}: {block.get('input')}]"}
    elif kind == "tool_reference":
        yield {"type": "text", "text": f"[the tool {block.get('tool_name')} can be used]"}
    elif kind == "web_search_tool_result":
        yield {"type": "text", "text": _search_results(block.get("content"))}


def _image(source: Any, takes: _Takes) -> Json:
    if not takes.links and source.get("type") == "url":
        return {"type": "text", "text": f"[image: {source.get('url')}]"}
    return {"type": "image", "source": source}


def _document(block: Json, takes: _Takes) -> Json:
    source = block.get("source") or {}
    if source.get("type") == "text":
        title = block.get("title") or "document"
        return {"type": "text", "text": f"[{title}]\n{source.get('data', '')}"}
    if not takes.documents:
        raise UnsupportedError("This model takes no documents (PDF): send their text instead.")
    return {"type": "document", "source": source}


def _tool_result(block: Json, takes: _Takes) -> Json:
    content = block.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    adapted = [each for part in parts for each in _block(part, takes)]
    if block.get("is_error"):
        adapted = _marked(adapted)
    # texts as one string, which every provider accepts
    if all(part["type"] == "text" for part in adapted):
        return _result(block, "\n".join(part["text"] for part in adapted))
    return _result(block, adapted)


def _marked(parts: list[Json]) -> list[Json]:
    if parts and parts[0]["type"] == "text":
        return [{"type": "text", "text": f"{ERROR_MARK} {parts[0]['text']}"}, *parts[1:]]
    return [{"type": "text", "text": ERROR_MARK}, *parts]


def _result(block: Json, content: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": block.get("tool_use_id"), "content": content}


def _search_results(content: Any) -> str:
    """Return titles and URLs of a web search: the rest is encrypted for Anthropic."""
    hits = [hit for hit in content if isinstance(hit, dict)] if isinstance(content, list) else []
    lines = (f"{hit.get('title')}: {hit.get('url')}" for hit in hits if hit.get("url"))
    return "\n".join(("[found]", *lines))


def _is_client_tool(tool: Json) -> bool:
    """Tell whether the client runs a tool, not Anthropic (web search, code execution)."""
    return tool.get("type", "custom") == "custom" and "name" in tool


def _tool(tool: Json) -> Json:
    members = ("name", "description", "input_schema")
    return {name: tool[name] for name in members if name in tool}


def words_of(request: Json) -> str:
    """Return all text of a request, to count its tokens."""
    return "\n".join(_texts({name: request.get(name) for name in ("system", "tools", "messages")}))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        if value.get("type") == "base64":
            return  # an image is not counted by its characters
        for name, item in value.items():
            yield name
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
