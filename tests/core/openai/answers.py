"""Messages answers for the tests of OpenAI's forms, whole and as the events of the same answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from neurolink_mitm.core.response.sse import encode

Json = dict[str, Any]

USAGE = {
    "input_tokens": 10,
    "cache_read_input_tokens": 200,
    "cache_creation_input_tokens": 3000,
    "output_tokens": 42,
    "output_tokens_details": {"thinking_tokens": 7},
}
THINKING = {"type": "thinking", "thinking": "Let me\nsee…", "signature": "EqQB/+="}
REDACTED = {"type": "redacted_thinking", "data": "gAAA=="}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"path": 'a "b".py'}}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"q": "x"}}
FOUND = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": [{"type": "web_search_result", "url": "https://a.example", "title": "A"}],
}


def text(words: str, **more: Any) -> Json:
    return {"type": "text", "text": words, **more}


def message(*content: Json, stop_reason: str | None = "end_turn", usage: Any = USAGE) -> Json:
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
        "content": list(content), "stop_reason": stop_reason, "stop_sequence": None, "usage": usage,
    }  # fmt: skip


def events(whole: Json, size: int = 4) -> Iterator[tuple[str, Json]]:
    """Yield the events by which this answer would be streamed; each delta has `size` characters."""
    usage = whole["usage"]
    start = {**usage, "output_tokens": 1} if usage else usage
    yield _event(
        "message_start",
        message={**whole, "content": [], "stop_reason": None, "usage": start},
    )
    yield _event("ping")
    for index, block in enumerate(whole["content"]):
        yield _event("content_block_start", index=index, content_block=_started(block))
        for delta in _deltas(block, size):
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": whole["stop_sequence"]}
    yield _event("message_delta", delta=delta, usage=usage)
    yield _event("message_stop")


def streamed(whole: Json, size: int = 4) -> bytes:
    """The bytes of that stream."""
    return b"".join(
        encode(name, json.dumps(data, ensure_ascii=False).encode())
        for name, data in events(whole, size)
    )


def _event(kind: str, **members: Any) -> tuple[str, Json]:
    return kind, {"type": kind, **members}


def _started(block: Json) -> Json:
    empty = {"text": "", "thinking": "", "signature": "", "input": {}}
    if block["type"] in ("text", "thinking", "tool_use", "server_tool_use"):
        block = {name: empty.get(name, value) for name, value in block.items()}
        block.pop("citations", None)
    return block


def _deltas(block: Json, size: int) -> Iterator[Json]:
    if block["type"] == "text":
        for piece in _pieces(block["text"], size):
            yield {"type": "text_delta", "text": piece}
        for citation in block.get("citations", ()):
            yield {"type": "citations_delta", "citation": citation}
    elif block["type"] == "thinking":
        for piece in _pieces(block["thinking"], size):
            yield {"type": "thinking_delta", "thinking": piece}
        yield {"type": "signature_delta", "signature": block["signature"]}
    elif block["type"] in ("tool_use", "server_tool_use"):
        yield {"type": "input_json_delta", "partial_json": ""}
        for piece in _pieces(json.dumps(block["input"]) if block["input"] else "", size):
            yield {"type": "input_json_delta", "partial_json": piece}


def _pieces(words: str, size: int) -> list[str]:
    return [words[at : at + size] for at in range(0, len(words), size)]


_WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
_INPUTS = st.dictionaries(_WORDS, _WORDS | st.integers() | st.lists(_WORDS, max_size=2), max_size=2)
_BLOCKS = st.one_of(
    st.builds(text, _WORDS),
    st.builds(lambda words: text(words, citations=[{"type": "page_location"}]), _WORDS),
    st.builds(lambda words, sign: {**THINKING, "thinking": words, "signature": sign},
              _WORDS, st.sampled_from(["", "EqQB"])),
    st.builds(lambda given: {**CALL, "input": given}, _INPUTS),
    st.sampled_from([REDACTED, SEARCH, FOUND, {"type": "of_tomorrow", "text": ["x"], "input": 1}]),
)  # fmt: skip


@st.composite
def messages(draw: st.DrawFn) -> Json:
    """Any answer of Anthropic's, and blocks that it may have tomorrow."""
    content = draw(st.lists(_BLOCKS, max_size=5))
    called = any(block["type"] == "tool_use" for block in content)
    ends = ["end_turn", "max_tokens", "refusal", "pause_turn", "of_tomorrow"]
    reason = "tool_use" if called else draw(st.sampled_from(ends))
    numbered = [
        {**block, "id": f"toolu_{number}"} if block["type"] == "tool_use" else block
        for number, block in enumerate(content)
    ]
    return message(*numbered, stop_reason=reason)
