"""A message as bytes: SSE events, or one JSON object.

https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import msgspec

from neurolink_mitm.sandbox.answers import Answer, ContentBlock, Text, Thought, ToolUse, Usage
from neurolink_mitm.sandbox.errors import error

JSON_PIECE = 12
"""Characters of a tool's input per event."""

Data = dict[str, Any]


def sse(data: Data) -> bytes:
    """Return an SSE event with the name of its type."""
    return b"event: %s\ndata: %s\n\n" % (data["type"].encode(), msgspec.json.encode(data))


def error_event(error_type: str, message: str | None) -> bytes:
    return sse({"type": "error", "error": error(error_type, message)})


def message_events(answer: Answer) -> list[bytes]:
    return [sse(data) for data in _events(answer)]


def message_json(answer: Answer) -> bytes:
    """Return the JSON object of a message that is not streamed."""
    content = [_whole(block) for block in answer.blocks]
    usage = _usage_in_full(answer.usage, answer.output_tokens)
    return msgspec.json.encode(_message(answer, content, answer.stop_reason, usage))


def _events(answer: Answer) -> Iterator[Data]:
    opened = _message(answer, [], None, _usage_in_full(answer.usage, 1))
    yield {"type": "message_start", "message": opened}
    yield {"type": "ping"}
    for index, block in enumerate(answer.blocks):
        yield {"type": "content_block_start", "index": index, "content_block": _opened(block)}
        for delta in _deltas(block):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": answer.stop_reason, "stop_sequence": None},
        "usage": _usage(answer.usage, answer.output_tokens),
    }
    yield {"type": "message_stop"}


def _message(answer: Answer, content: list[Data], stop_reason: str | None, usage: Data) -> Data:
    return {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage,
    }


def _usage(usage: Usage, output_tokens: int) -> Data:
    counts = asdict(usage)
    del counts["cached_1h"]
    return {**counts, "output_tokens": output_tokens}


def _usage_in_full(usage: Usage, output_tokens: int) -> Data:
    """Return the usage of a whole message; the end of a stream has less."""
    tiers = {
        "ephemeral_5m_input_tokens": usage.cache_creation_input_tokens - usage.cached_1h,
        "ephemeral_1h_input_tokens": usage.cached_1h,
    }
    return {**_usage(usage, output_tokens), "cache_creation": tiers}


def _opened(block: ContentBlock) -> Data:
    match block:
        case Text():
            return {"type": "text", "text": ""}
        case Thought():
            return {"type": "thinking", "thinking": "", "signature": ""}
        case ToolUse(id, name):
            return {"type": "tool_use", "id": id, "name": name, "input": {}}


def _deltas(block: ContentBlock) -> Iterator[Data]:
    match block:
        case Text(deltas):
            yield from ({"type": "text_delta", "text": text} for text in deltas)
        case Thought(deltas, signature):
            yield from ({"type": "thinking_delta", "thinking": text} for text in deltas)
            yield {"type": "signature_delta", "signature": signature}
        case ToolUse(input=value):
            text = msgspec.json.encode(value).decode()
            pieces = [text[i : i + JSON_PIECE] for i in range(0, len(text), JSON_PIECE)]
            # the first one is empty, like Anthropic's
            yield from ({"type": "input_json_delta", "partial_json": p} for p in ["", *pieces])


def _whole(block: ContentBlock) -> Data:
    match block:
        case Text(deltas):
            return {"type": "text", "text": "".join(deltas)}
        case Thought(deltas, signature):
            return {"type": "thinking", "thinking": "".join(deltas), "signature": signature}
        case ToolUse(id, name, value):
            return {"type": "tool_use", "id": id, "name": name, "input": value}
