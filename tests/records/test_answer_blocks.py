from __future__ import annotations

import msgspec
import pytest

from neurolink_mitm.records.answer_blocks import blocks, events


def stream(*datas: object) -> bytes:
    return b"".join(b"event: x\ndata: %s\n\n" % msgspec.json.encode(each) for each in datas)


ANTHROPIC = stream(
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "name": "Read"}},
    {"type": "content_block_delta", "index": 1, "delta": {"partial_json": '{"a":1}'}},
    {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
)  # fmt: skip
CHAT = stream(
    {"choices": [{"delta": {"content": "Hi"}}]},
    {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]}}]},
)  # fmt: skip
WHOLE = b'{"content":[{"type":"text","text":"Hi"},{"type":"tool_use","name":"f","input":{}}]}'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            ANTHROPIC,
            [("text", "", "Hello"), ("tool_use", "Read", '{"a":1}'), ("error", "overloaded_error", "Overloaded")],
        ),
        (CHAT, [("text", "", "Hi"), ("tool_use", "f", "{}")]),
        (WHOLE, [("text", "", "Hi"), ("tool_use", "f", "{}")]),
        (b'{"error":{"type":"t","message":"m"}}', [("error", "t", "m")]),
        (b'{"content":7,"error":[]}', []),
        (b"[" * 100_000, []),
        (b"\xff\x00", []),
        (stream([], 1, {"delta": {"text": 5}, "choices": [1], "content_block": "x"}), []),
    ],
    ids=["anthropic", "chat", "whole", "error", "odd", "deep", "bytes", "odd events"],
)  # fmt: skip
def test_what_an_answer_says(body: bytes, expected: list[object]) -> None:
    assert [(each.kind, each.name, each.text) for each in blocks(body) if each.text] == expected


def test_the_events_of_a_stream() -> None:
    assert [event.name for event in events(ANTHROPIC)] == ["x"] * 6
