import json
from typing import Any

import pytest

from neurolink_mitm.sandbox.answers import Answer, Text, Thought, ToolUse, Usage
from neurolink_mitm.sandbox.events import error_event, message_events, message_json, sse

ANSWER = Answer(
    "msg_1",
    "claude-x",
    (
        Thought(("Hm", "m."), "c2ln"),
        Text(("Hel", "lo")),
        ToolUse("toolu_1", "Bash", {"c": "é" * 20}),
    ),
    "tool_use",
    Usage(10, 5, 30, cached_1h=2),
)


def parsed(event: bytes) -> dict[str, Any]:
    name, data, *rest = event.decode().split("\n")
    found: dict[str, Any] = json.loads(data.removeprefix("data: "))
    assert (name, rest) == (f"event: {found['type']}", ["", ""])
    return found


def events() -> list[dict[str, Any]]:
    return [parsed(event) for event in message_events(ANSWER)]


def test_an_event_is_named_by_its_type() -> None:
    assert sse({"type": "ping"}) == b'event: ping\ndata: {"type":"ping"}\n\n'


def test_events_come_in_anthropics_order() -> None:
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    kinds = [event["type"] for event in events()]
    once = [kind for n, kind in enumerate(kinds) if kinds[n - 1] != kind]
    assert once == ["message_start", "ping", *block * 3, "message_delta", "message_stop"]


def test_the_message_starts_empty_with_its_usage() -> None:
    message = events()[0]["message"]
    assert (message["id"], message["role"], message["content"]) == ("msg_1", "assistant", [])
    assert message["stop_reason"] is None
    assert message["usage"] == {
        "input_tokens": 10,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 2},
        "output_tokens": 1,
    }


def test_the_message_ends_with_its_reason_and_usage() -> None:
    end = events()[-2]
    assert end["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert end["usage"] == {
        "input_tokens": 10,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 30,
        "output_tokens": ANSWER.output_tokens,
    }


def test_blocks_are_counted() -> None:
    starts = [e for e in events() if e["type"] == "content_block_start"]
    assert [(e["index"], e["content_block"]["type"]) for e in starts] == [
        (0, "thinking"),
        (1, "text"),
        (2, "tool_use"),
    ]


@pytest.mark.parametrize(
    ("kind", "key", "whole"),
    [
        ("thinking_delta", "thinking", "Hmm."),
        ("signature_delta", "signature", "c2ln"),
        ("text_delta", "text", "Hello"),
        ("input_json_delta", "partial_json", '{"c":"' + "é" * 20 + '"}'),
    ],
)
def test_deltas_joined_are_the_content(kind: str, key: str, whole: str) -> None:
    deltas = [e["delta"] for e in events() if e["type"] == "content_block_delta"]
    assert "".join(d[key] for d in deltas if d["type"] == kind) == whole


def test_unstreamed_it_is_one_message() -> None:
    message = json.loads(message_json(ANSWER))
    assert message["content"] == [
        {"type": "thinking", "thinking": "Hmm.", "signature": "c2ln"},
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"c": "é" * 20}},
    ]
    assert message["stop_reason"] == "tool_use"


def test_an_error_event_has_anthropics_form() -> None:
    error = {"type": "overloaded_error", "message": "Overloaded"}
    assert parsed(error_event("overloaded_error", None)) == {"type": "error", "error": error}
