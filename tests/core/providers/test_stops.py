from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from neurolink_mitm.core.providers.stops import StopSequences, first

Json = dict[str, Any]

START: Json = {"type": "content_block_start", "content_block": {"type": "text", "text": ""}}
STOP: Json = {"type": "content_block_stop"}
ENDS: list[Json] = [
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
    {"type": "message_stop"},
]
USE: Json = {"type": "content_block_start", "content_block": {"type": "tool_use", "id": "t"}}


def words(text: str) -> Json:
    return {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}


def fed(sequences: list[Any], *events: Json) -> list[Json]:
    return list(StopSequences(sequences).through(events))


def text_of(events: list[Json]) -> str:
    deltas = (event["delta"] for event in events if event["type"] == "content_block_delta")
    return "".join(delta["text"] for delta in deltas)


def reason_of(events: list[Json]) -> tuple[str, str | None]:
    (delta,) = (event["delta"] for event in events if event["type"] == "message_delta")
    return delta["stop_reason"], delta.get("stop_sequence")


CASES: dict[str, tuple[list[Any], str, str, str | None]] = {
    "none": (["HALT"], "go on", "go on", None),
    "in the middle": (["HALT"], "so HALT and more", "so ", "HALT"),
    "at the beginning": (["HALT"], "HALT", "", "HALT"),
    "the first of two": (["x", "HALT"], "so HALT and x", "so ", "HALT"),
    "the one that is complete first": (["HALT", "AL"], "so HALT", "so H", "AL"),
    "the longer of two": (["LT", "HALT"], "so HALT", "so ", "HALT"),
    "half of one at the end": (["HALT"], "so HAL", "so HAL", None),
    "one that begins twice": (["aab"], "aaab", "a", "aab"),
    "nonsense": (["", None, 7], "so", "so", None),
}


@pytest.mark.parametrize(("sequences", "text", "left", "met"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_text_ends_at_a_sequence(
    sequences: list[Any], text: str, left: str, met: str | None, size: int
) -> None:
    pieces = [words(text[at : at + size]) for at in range(0, len(text), size)]
    events = fed(sequences, START, *pieces, STOP, *ENDS)
    assert text_of(events) == left
    assert reason_of(events) == (("stop_sequence", met) if met else ("end_turn", None))
    assert events[-2]["usage"] == {"output_tokens": 7}
    assert events[-1] == {"type": "message_stop"}


@given(st.text("ab"), st.lists(st.text("ab", min_size=1), min_size=1, max_size=3), st.data())
@example("aaab", ["aab"], None)
def test_any_split_ends_where_the_whole_does(
    text: str, sequences: list[str], data: st.DataObject | None
) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(text))))) if data else [2]
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    events = fed(sequences, START, *map(words, pieces), STOP, *ENDS)
    place, met = first(text, sequences)
    assert text_of(events) == (text if met is None else text[:place])
    assert reason_of(events) == (("stop_sequence", met) if met else ("end_turn", None))


def test_nothing_follows_it_but_the_end() -> None:
    events = fed(["HALT"], START, words("so HALT"), STOP, USE, STOP, START, words("x"), STOP, *ENDS)
    assert [event["type"] for event in events] == [
        "content_block_start", "content_block_delta", "message_delta", "message_stop",
    ]  # fmt: skip


def test_a_sequence_does_not_reach_over_two_blocks() -> None:
    events = fed(["HALT"], START, words("HA"), STOP, START, words("LT"), STOP, *ENDS)
    assert text_of(events) == "HALT"
    assert reason_of(events) == ("end_turn", None)


def test_thinking_is_not_searched() -> None:
    thinking = {
        "type": "content_block_delta",
        "delta": {"type": "thinking_delta", "thinking": "HALT"},
    }
    assert thinking in fed(["HALT"], START, thinking, STOP, *ENDS)


def test_a_failure_behind_it_is_told() -> None:
    error = {"type": "error", "error": {}}
    assert fed(["HALT"], START, words("HALT"), error)[-1] == error
