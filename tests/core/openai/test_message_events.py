from __future__ import annotations

import json
from typing import Any

import pytest

from neurolink_mitm.core.openai.message_events import Event, events_of, message_of
from neurolink_mitm.core.response.sse import SseReader
from tests.flows.raw_upstream import MESSAGE, STREAM

WHOLE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "sig=="},
        {"type": "redacted_thinking", "data": "abc"},
        {"type": "text", "text": "hello \U0001f600"},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"n": 2**70, "x": 1.0}},
        {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 3},
}


def events(stream: bytes) -> list[Event]:
    return [(event.name, event.data) for event in SseReader().feed(stream)]


def test_there_and_back() -> None:
    assert json.loads(message_of(events_of(json.dumps(WHOLE).encode()))) == WHOLE


def test_events_of_a_message() -> None:
    names = [name for name, _ in events_of(json.dumps(WHOLE).encode())]
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert names == [
        "message_start",
        *["content_block_start", *["content_block_delta"] * 2, "content_block_stop"],
        *["content_block_start", "content_block_stop"],
        *block * 3,
        "message_delta",
        "message_stop",
    ]


def test_message_of_a_stream() -> None:
    assert json.loads(message_of(events(STREAM))) == json.loads(MESSAGE)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b'{"content":{}}', b'{"content":["x"],"stop_reason":null}']
)
def test_no_message(body: bytes) -> None:
    with pytest.raises(ValueError, match="no Messages response"):
        list(events_of(body))


@pytest.mark.parametrize(
    "told",
    [
        [],
        events(STREAM)[:-1],
        [("message_start", b"<")],
        [("content_block_delta", b'{"index":3,"delta":{"type":"text_delta","text":"x"}}'),
         *events(STREAM)],
        [*events(STREAM)[:2], ("content_block_start", b'{"index":9,"content_block":{"type":"tool_use"}}'),
         ("content_block_delta", b'{"index":9,"delta":{"type":"input_json_delta","partial_json":"{"}}'),
         *events(STREAM)[2:]],
        [*events(STREAM)[:-1], ("content_block_delta", b'{"delta":{"type":"text_delta"}}'), *events(STREAM)[-1:]],
    ],
    ids=["nothing", "cut", "no JSON", "no block", "half an input", "no text"],
)  # fmt: skip
def test_no_stream_of_a_message(told: list[Event]) -> None:
    with pytest.raises(ValueError, match="stream"):
        message_of(told)
