"""Adapts messages and their blocks: what others don't know becomes text, or is left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from neurolink_mitm.core.providers.adapt.anthropics import words_for
from neurolink_mitm.core.providers.adapt.documents import document, image
from neurolink_mitm.core.providers.adapt.form import Json, text_block
from neurolink_mitm.core.providers.pdf import Pdf
from neurolink_mitm.core.providers.signatures import is_own
from neurolink_mitm.core.providers.traits import Traits

ERROR_MARK = "[the tool failed]"
"""Put before a tool's result that is an error: other APIs have no field for that."""


def messages(conversation: Any, traits: Traits, pdfs: Mapping[str, Pdf]) -> Iterator[Json]:
    """Yield the messages with their adapted blocks; none for a message of which nothing is left."""
    for message in conversation if isinstance(conversation, list) else ():
        content = message.get("content")
        blocks = [text_block(content)] if isinstance(content, str) else content
        adapted = [each for block in blocks or () for each in _block(block, traits, pdfs)]
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


def _block(block: Json, traits: Traits, pdfs: Mapping[str, Pdf]) -> Iterator[Json]:
    """Yield the adapted block: none for others' thinking, which only its author can read."""
    kind = block.get("type")
    if kind == "text":
        if str(block.get("text") or "").strip():  # Claude on Bedrock and Kimi refuse a blank one
            yield text_block(f"{block['text']}{_sources(block)}")
    elif kind == "thinking":
        if is_own(block.get("signature"), traits.own_thinking):
            yield {name: block.get(name) or "" for name in ("type", "thinking", "signature")}
    elif kind == "redacted_thinking":
        if is_own(block.get("data"), traits.own_thinking):
            yield {"type": kind, "data": block["data"]}
    elif kind == "document":
        yield from document(block, traits, pdfs)
    elif kind == "tool_result":
        yield _tool_result(block, traits, pdfs)
    elif kind == "image":
        yield image(block, traits)
    elif kind == "tool_use":
        members = ("type", "id", "name", "input")
        yield {name: block[name] for name in members if name in block}
    elif words := words_for(block, pdfs):
        yield text_block(words)


def _sources(block: Json) -> str:
    """Return which sources a text cites, as words behind it."""
    cited = [each for each in block.get("citations") or () if isinstance(each, dict)]
    found = (f"{each.get('title') or each.get('document_title') or ''} "
             f"{each.get('url') or each.get('source') or ''}".strip() for each in cited)  # fmt: skip
    named = dict.fromkeys(each for each in found if each)
    return f" [from {'; '.join(named)}]" if named else ""


def _tool_result(block: Json, traits: Traits, pdfs: Mapping[str, Pdf]) -> Json:
    content = block.get("content")
    parts = [text_block(content)] if isinstance(content, str) else content or []
    adapted = [each for part in parts for each in _block(part, traits, pdfs)]
    if block.get("is_error"):
        adapted = _marked(adapted)
    # texts as one string, which every provider accepts
    if all(part["type"] == "text" for part in adapted):
        return _result(block, "\n".join(part["text"] for part in adapted))
    return _result(block, adapted)


def _marked(parts: list[Json]) -> list[Json]:
    if parts and parts[0]["type"] == "text":
        return [text_block(f"{ERROR_MARK} {parts[0]['text']}"), *parts[1:]]
    return [text_block(ERROR_MARK), *parts]


def _result(block: Json, content: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": block.get("tool_use_id"), "content": content}
