from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.redact.body import redact_stream
from tests.core.redact.test_redaction_body import NAMES, PLAIN, TOKENS

MEMBERS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
PLACES = st.lists(st.integers(0, 10_000), max_size=20)


def event(name: str, **data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n"


def stream(kind: str, pieces: list[str], index: int = 0) -> str:
    deltas = [
        event("content_block_delta", index=index, delta={"type": kind, MEMBERS[kind]: piece})
        for piece in pieces
    ]
    return "".join([event("message_start"), *deltas, event("message_stop")])


def said(text: str) -> str:
    """What a client puts together from the deltas."""
    data = [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: ")]
    deltas = [each["delta"] for each in data if "delta" in each]
    return "".join(delta[MEMBERS[delta["type"]]] for delta in deltas)


def cut(text: str, places: list[int]) -> list[str]:
    ends = sorted({place % (len(text) + 1) for place in places} | {0, len(text)})
    return [text[a:b] for a, b in pairwise(ends)]


@given(TOKENS, PLAIN, PLAIN, PLACES, st.sampled_from(sorted(MEMBERS)))
def test_a_token_in_pieces_does_not_get_through(
    token: str, before: str, after: str, places: list[int], kind: str
) -> None:
    found = said(redact_stream(stream(kind, cut(f"{before} {token} {after}", places))))
    assert token not in found
    assert "***" in found


@given(NAMES, PLACES)
def test_arguments_of_a_tool_in_pieces(name: str, places: list[int]) -> None:
    text = json.dumps({"a": 1, name: "hunter2hunter2", "b": [2]})
    found = said(redact_stream(stream("input_json_delta", cut(text, places))))
    assert json.loads(found) == {"a": 1, name: "***", "b": [2]}


def test_blocks_are_told_apart() -> None:
    """Two tools may be called at once: their pieces come in turns."""
    one = stream("text_delta", ["sk-ant-", "test-abcd"], 0).split("\n\n")
    two = stream("text_delta", ["fine", " too"], 1).split("\n\n")
    mixed = "\n\n".join(line for pair in zip(one, two, strict=True) for line in pair)
    found = redact_stream(mixed)
    assert "test-abcd" not in found
    assert '"text": "fine"' in found


def test_events_without_secrets_stay_byte_for_byte() -> None:
    text = stream("text_delta", ["a ", "sk-ant-", "test-abcd", " b"])
    before, after = text.split("\n\n"), redact_stream(text).split("\n\n")
    changed = [n for n, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
    assert changed == [2, 3]


@pytest.mark.parametrize(
    "text", ["", "data: {no json}\n\n", 'data: {"type":[]}\n\n', ": keep-alive\n\n", "data: 1"]
)
def test_what_is_no_event_of_theirs_stays(text: str) -> None:
    assert redact_stream(text) == text


@given(TOKENS)
def test_what_stands_in_other_events_does_not_get_through(token: str) -> None:
    text = event("error", error={"type": "x", "message": f"bad key {token}"})
    assert token not in redact_stream(text)


def test_a_half_event_at_the_end_is_looked_through() -> None:
    text = stream("text_delta", ["x"]) + 'event: error\ndata: {"message":"sk-ant-test-abcd'
    assert "test-abcd" not in redact_stream(text)
