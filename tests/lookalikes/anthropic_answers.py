"""Claude's answers on the clouds, as Anthropic's Messages."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.lookalikes.script import Asked, Json, Reply, pieces

_STOPS = {"stop": "end_turn", "length": "max_tokens", "filter": "refusal"}


def asked_of(body: Json) -> Asked:
    """Return what is asked."""
    tools = [(tool["name"], tool.get("input_schema") or {}) for tool in body.get("tools") or ()]
    content = body["messages"][-1]["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    results = [b for b in blocks if b["type"] == "tool_result"]
    said = " ".join(b["text"] for b in blocks if b["type"] == "text")
    return Asked(tools, said, str(results[-1].get("content")) if results else None)


def _stop(reply: Reply) -> str | None:
    if reply.no_finish:
        return None
    if reply.finish_word:
        return reply.finish_word
    return "tool_use" if reply.calls and reply.finish == "stop" else _STOPS[reply.finish]


def _content(reply: Reply, number: int) -> list[Json]:
    blocks: list[Json] = []
    if reply.thinking:
        signed = {"type": "thinking", "thinking": reply.thinking, "signature": "RXJVQg=="}
        blocks.append(signed)
    if reply.text:
        blocks.append({"type": "text", "text": reply.text})
    for index, call in enumerate(reply.calls):
        own = reply.ids[index] if index < len(reply.ids) else f"toolu_bdrk_{number:04}x{index}"
        blocks.append({"type": "tool_use", "id": own, "name": call.name, "input": call.arguments})
    return blocks


def whole_message(reply: Reply, number: int, model: str) -> Json:
    """Return a whole answer."""
    given, made = reply.tokens
    return {
        "id": f"msg_bdrk_{number}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": _content(reply, number),
        "stop_reason": _stop(reply),
        "stop_sequence": None,
        "usage": {"input_tokens": given, "output_tokens": made},
    }


def message_events(reply: Reply, number: int, model: str) -> Iterator[Json]:
    """Yield the events of a stream."""
    message = whole_message(reply, number, model)
    begun = {**message, "content": [], "stop_reason": None}
    yield {"type": "message_start", "message": begun}
    for index, block in enumerate(message["content"]):
        yield from _block_events(block, index)
    if reply.no_done and reply.no_finish:
        return
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": message["usage"]}
    yield {"type": "message_stop"}


def _block_events(block: Json, index: int) -> Iterator[Json]:
    kind = block["type"]
    empty = {
        "text": {"text": ""},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"input": {}},
    }
    yield {"type": "content_block_start", "index": index, "content_block": {**block, **empty[kind]}}
    told = json.dumps(block["input"]) if kind == "tool_use" else block[kind]
    member = "partial_json" if kind == "tool_use" else kind
    name = {"tool_use": "input_json_delta"}.get(kind, f"{kind}_delta")
    for piece in pieces(told):
        yield {
            "type": "content_block_delta",
            "index": index,
            "delta": {"type": name, member: piece},
        }
    if kind == "thinking":
        signed = {"type": "signature_delta", "signature": block["signature"]}
        yield {"type": "content_block_delta", "index": index, "delta": signed}
    yield {"type": "content_block_stop", "index": index}
