"""Adapts messages and their blocks: what others don't know becomes text, or is left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from neurolink_mitm.core.providers.adapt.documents import document
from neurolink_mitm.core.providers.adapt.form import Json
from neurolink_mitm.core.providers.signatures import signed
from neurolink_mitm.core.providers.traits import Traits

ERROR_MARK = "[the tool failed]"
"""Put before a tool's result that is an error: other APIs have no field for that."""
UNSEEN_IMAGE = "[an image, which this model can't see]"


def messages(conversation: Any, traits: Traits) -> Iterator[Json]:
    """Yield the messages with their adapted blocks; none for a message of which nothing is left."""
    for message in conversation if isinstance(conversation, list) else ():
        content = message.get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        adapted = [each for block in blocks or () for each in _block(block, traits)]
        if not adapted:
            continue
        # Claude Code sends system messages within the conversation, which others don't know
        role = "assistant" if message.get("role") == "assistant" else "user"
        yield {"role": role, "content": adapted}


def merged(conversation: Iterable[Json]) -> list[Json]:
    """Merge messages of one role, so that turns alternate: most providers want that."""
    turns: list[Json] = []
    for message in conversation:
        if turns and turns[-1]["role"] == message["role"]:
            turns[-1] = {**message, "content": [*turns[-1]["content"], *message["content"]]}
        else:
            turns.append(message)
    return turns


def _block(block: Json, traits: Traits) -> Iterator[Json]:
    """Yield the adapted block: none for others' thinking, which only its author can read; a text for server tools."""
    kind = block.get("type")
    if kind == "text":
        if str(block.get("text") or "").strip():  # Claude on Bedrock and others refuse a blank one
            yield {"type": "text", "text": block["text"]}
    elif kind == "thinking":
        if signed(block.get("signature"), traits.own_thinking) is not None:
            yield {name: block.get(name) or "" for name in ("type", "thinking", "signature")}
    elif kind == "document":
        yield document(block, traits)
    elif kind == "tool_result":
        yield _tool_result(block, traits)
    elif kind == "image":
        yield _image(block.get("source"), traits)
    elif kind == "tool_use":
        members = ("type", "id", "name", "input")
        yield {name: block[name] for name in members if name in block}
    elif kind == "server_tool_use":
        yield {"type": "text", "text": f"[{block.get('name')}: {block.get('input')}]"}
    elif kind == "tool_reference":
        yield {"type": "text", "text": f"[the tool {block.get('tool_name')} can be used]"}
    elif kind == "web_search_tool_result":
        yield {"type": "text", "text": _search_results(block.get("content"))}


def _image(source: Any, traits: Traits) -> Json:
    if not traits.images:
        return {"type": "text", "text": UNSEEN_IMAGE}
    if not traits.links and source.get("type") == "url":
        return {"type": "text", "text": f"[image: {source.get('url')}]"}
    return {"type": "image", "source": source}


def _tool_result(block: Json, traits: Traits) -> Json:
    content = block.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    adapted = [each for part in parts for each in _block(part, traits)]
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
