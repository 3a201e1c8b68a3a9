"""Requests, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from neurolink_mitm.core.providers.adapt import adapt
from neurolink_mitm.core.providers.adapt.blocks import messages
from neurolink_mitm.core.providers.pdf import Pdf
from neurolink_mitm.core.providers.traits import Traits

Json = dict[str, Any]

TRAITS = Traits(documents=True, links=True)
USER: Json = {"role": "user", "content": "hi"}
IMAGE: Json = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "eA=="},
}
LINKED: Json = {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}
PDF: Json = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": "eA=="},
}
USE: Json = {"type": "tool_use", "id": "t1", "name": "ls", "input": {"a": 1}}
TOOL: Json = {
    "name": "ls",
    "description": "Lists.",
    "input_schema": {"type": "object", "properties": {}},
}


def adapted(*messages: Json, tools: Any = None, **more: Any) -> Json:
    offered = {} if tools is None else {"tools": tools}
    return adapt({"messages": list(messages or (USER,)), **offered, **more}, TRAITS).request


def block_of(block: Json, pdfs: Mapping[str, Pdf] | None = None, **settings: Any) -> list[Json]:
    """What becomes of a block of the user's."""
    turn = {"role": "user", "content": [block]}
    turns = list(messages([turn], replace(TRAITS, **settings), pdfs or {}))
    return turns[0]["content"] if turns else []


def result_of(content: Any, **more: Any) -> Any:
    (block,) = block_of({"type": "tool_result", "tool_use_id": "t1", "content": content, **more})
    assert (block["type"], block["tool_use_id"]) == ("tool_result", "t1")
    return block["content"]
