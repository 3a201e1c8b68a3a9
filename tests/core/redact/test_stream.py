from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.redact.stream import redact_stream
from tests.core.redact.test_body import NAMES, PLAIN, TOKENS
from tests.linear import assert_linear

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


# OpenAI's forms

Made = list[dict[str, Any]]


def chat(**delta: Any) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}


def call(form: str, member: str, piece: str) -> dict[str, Any]:
    """A piece of the second call's input, in one chunk with a piece of another's."""
    calls = [{"index": 0, "function": {"arguments": "Z"}}, {"index": 1, form: {member: piece}}]
    return chat(tool_calls=calls)


def response(kind: str, piece: str, **place: int) -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "output_index": 1, "delta": piece, **place}


EVENTS = {
    "chat": lambda piece: chat(content=piece, role="assistant"),
    "chat-reasoning": lambda piece: chat(reasoning_content=piece),
    "chat-refusal": lambda piece: chat(content=None, refusal=piece),
    "chat-call": lambda piece: call("function", "arguments", piece),
    "chat-custom-call": lambda piece: call("custom", "input", piece),
    "responses": lambda piece: response("output_text", piece, content_index=0),
    "responses-summary": lambda piece: response("reasoning_summary_text", piece, summary_index=1),
    "responses-call": lambda piece: response("function_call_arguments", piece),
}


def pieces(value: object) -> str:
    """All strings of an event that hold pieces, put together."""
    if isinstance(value, dict):
        return "".join(pieces(each) for name, each in value.items() if name in PARTS)
    return "".join(map(pieces, value)) if isinstance(value, list) else str(value or "")


PARTS = ("choices", "delta", "content", "reasoning_content", "refusal", "tool_calls", "function", "arguments",
         "custom", "input")  # fmt: skip


@pytest.mark.parametrize("form", EVENTS)
@settings(max_examples=15)
@given(TOKENS, PLAIN, PLACES)
def test_no_token_in_pieces_gets_through_in_openais_forms(
    form: str, token: str, before: str, places: list[int]
) -> None:
    events = [EVENTS[form](piece) for piece in cut(f"{before} {token} x", places)]
    text = "".join(f"data: {json.dumps(each)}\n\n" for each in events) + "data: [DONE]\n\n"
    found = redact_stream(text)
    lines = found.split("\n\n")[:-2]
    whole = "".join(pieces(json.loads(line[6:])) for line in lines)
    kept = whole.replace("Z", "") if "call" in form else whole
    assert token not in kept
    assert "***" in whole
    assert found.endswith("data: [DONE]\n\n")


def test_two_secrets_in_one_event() -> None:
    """The other call's pieces and other choices are texts of their own."""
    first = chat(content="sk-proj-0123456789", tool_calls=[{"function": {"arguments": "sk-ant-"}}])
    second = chat(content="abcdefghij", tool_calls=[{"function": {"arguments": "test-abcd"}}])
    text = "".join(f"data: {json.dumps(each)}\n\n" for each in (first, second))
    found = redact_stream(text)
    assert [part for part in ("0123456789", "abcdefghij", "test-abcd") if part in found] == []
    assert found.count("***") == 2


def test_an_event_with_a_name_twice_is_masked_whole() -> None:
    text = 'data: {"choices":[],"choices":[{"delta":{"content":"sk-ant-test-abcd"}}]}\n\n'
    assert redact_stream(text) == 'data: "***"\n\n'


def test_many_pieces_in_one_event_take_linear_time() -> None:
    def made(size: int) -> str:
        choice = {"delta": {"content": "sk-ant-test-abcd "}}
        choices = [{**choice, "index": index} for index in range(1 + size // 60)]
        return f"data: {json.dumps({'choices': choices})}\n\n"

    assert_linear(redact_stream, made)
