from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.providers.collected import message_of
from tests.linear import assert_linear

Json = dict[str, Any]
STOP: Json = {"type": "message_stop"}


def begin(**block: Any) -> Json:
    return {"type": "content_block_start", "content_block": block}


def delta(**members: Any) -> Json:
    return {"type": "content_block_delta", "delta": {"type": "some_delta", **members}}


def test_blocks_and_their_pieces() -> None:
    end = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 1},
    }
    events = [
        begin(type="thinking", thinking=""), delta(thinking="h"), delta(thinking="m"), delta(signature="s"),
        begin(type="text", text="s"), delta(text="o"),
        begin(type="tool_use", name="ls", input={}), delta(partial_json='{"a"'), delta(partial_json=": 1}"),
        begin(type="tool_use", name="ls", input={"b": 2}),
        {"type": "content_block_stop"}, {"type": "tool_begins"}, end, STOP,
    ]  # fmt: skip
    assert message_of(events) == {
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "so"},
            {"type": "tool_use", "name": "ls", "input": '{"a": 1}'},
            {"type": "tool_use", "name": "ls", "input": {"b": 2}},
        ],
        "stop_reason": "end_turn",
        "usage": {"output_tokens": 1},
    }


@pytest.mark.parametrize("events", [[], [begin(type="text", text="so")]], ids=["nothing", "text"])
def test_what_has_no_end_is_no_message(events: list[Json]) -> None:
    assert message_of(events) is None


def test_a_piece_of_no_block_is_left_out() -> None:
    assert message_of([delta(text="so"), STOP]) == {"content": []}


def test_it_is_linear() -> None:
    def make(size: int) -> list[Json]:
        return [begin(type="text", text=""), *([delta(text="ab")] * (size // 2)), STOP]

    assert_linear(message_of, make)
