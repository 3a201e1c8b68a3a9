"""The judge of streams is itself judged: good ones pass, each broken one is refused by its rule."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.sandbox import Account
from neurolink_mitm.sandbox.server import SandboxServer
from tests.anthropic_stream import BrokenStream, validate

Json = dict[str, Any]
Events = list[Json]

START: Json = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-6",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 1},
    },
}
STOP: Json = {"type": "message_stop"}
ERROR: Json = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


def opened(index: int, **block: object) -> Json:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **news: object) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": news}


def closed(index: int) -> Json:
    return {"type": "content_block_stop", "index": index}


def ending(reason: str, sequence: str | None = None, tokens: object = 7) -> Json:
    delta = {"stop_reason": reason, "stop_sequence": sequence}
    return {"type": "message_delta", "delta": delta, "usage": {"output_tokens": tokens}}


def text(index: int, *parts: str) -> Events:
    deltas = [delta(index, type="text_delta", text=part) for part in parts]
    return [opened(index, type="text", text=""), *deltas, closed(index)]


def thinking(index: int, *parts: str) -> Events:
    deltas = [delta(index, type="thinking_delta", thinking=part) for part in parts]
    signature = delta(index, type="signature_delta", signature="c2ln")
    start = opened(index, type="thinking", thinking="", signature="")
    return [start, *deltas, signature, closed(index)]


def tool(index: int, *parts: str, id: str = "toolu_1") -> Events:
    deltas = [delta(index, type="input_json_delta", partial_json=part) for part in parts]
    return [opened(index, type="tool_use", id=id, name="Read", input={}), *deltas, closed(index)]


def wire(events: Events) -> bytes:
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)


ANSWER: Events = [START, *text(0, "Hel", "lo"), ending("end_turn"), STOP]
CALL: Events = [
    START,
    *thinking(0, "hm"),
    *text(1, "I look."),
    *tool(2, '{"file', '_path": "a"}'),
    *tool(3, "", id="toolu_2"),
    ending("tool_use"),
    STOP,
]


def test_an_answer_is_put_together() -> None:
    message = validate(wire(ANSWER))
    assert (message.id, message.model) == ("msg_1", "claude-sonnet-4-6")
    assert message.text == "Hello"
    assert message.stop_reason == "end_turn"
    assert message.usage == {"input_tokens": 9, "output_tokens": 7}


def test_thinking_and_calls_are_put_together() -> None:
    message = validate(wire(CALL))
    assert message.thinking == "hm"
    assert message.content[0]["signature"] == "c2ln"
    assert [t["input"] for t in message.tool_uses] == [{"file_path": "a"}, {}]


def test_pings_and_comments_may_come_anywhere_before_the_end() -> None:
    ping = b'event: ping\ndata: {"type": "ping"}\n\n'
    between = [wire([event]) for event in ANSWER[:-1]]
    body = b": open\n\n" + b"".join(part + ping + b": keep-alive\n\n" for part in between)
    assert validate(body + wire([STOP])).text == "Hello"


def test_lines_may_end_in_crlf() -> None:
    assert validate(wire(ANSWER).replace(b"\n", b"\r\n")).text == "Hello"


def test_an_error_may_stand_for_the_end_where_that_is_allowed() -> None:
    message = validate(wire([*ANSWER[:3], ERROR]), allow_error=True)
    assert message.error == {"type": "overloaded_error", "message": "Overloaded"}


def test_a_limit_of_tokens_may_break_a_call_off() -> None:
    message = validate(wire([START, *tool(0, '{"a'), ending("max_tokens"), STOP]))
    assert message.stop_reason == "max_tokens"


def test_an_empty_block_passes_where_that_is_allowed() -> None:
    assert validate(wire([START, *text(0), ending("end_turn"), STOP]), allow_empty=True).text == ""


def test_the_sandbox_streams_by_the_rules() -> None:
    with SandboxServer([Account("a", "sk-ant-test-a")]) as sandbox:
        request = {
            "model": "claude-sonnet-4-6",
            "max_tokens": 64,
            "stream": True,
            "messages": [{"role": "user", "content": "hi"}],
        }
        headers = {"x-api-key": "sk-ant-test-a", "anthropic-version": "2023-06-01"}
        answer = httpx.post(f"{sandbox.url}/v1/messages", json=request, headers=headers)
    assert validate(answer.content).stop_reason == "end_turn"


def with_start(**change: object) -> Json:
    return {**START, "message": {**START["message"], **change}}


BROKEN: dict[str, tuple[Events, str]] = {
    "nothing": ([], "without message_stop"),
    "no start": (ANSWER[1:], "before message_start"),
    "two starts": ([START, *ANSWER], "second message_start"),
    "no id": ([with_start(id=""), *ANSWER[1:]], "id is"),
    "no model": ([with_start(model=None), *ANSWER[1:]], "model is"),
    "role of a user": ([with_start(role="user"), *ANSWER[1:]], "role is"),
    "no message": ([with_start(type="completion"), *ANSWER[1:]], "message.type is"),
    "stopped at the start": ([with_start(stop_reason="end_turn"), *ANSWER[1:]], "is set at"),
    "content at the start": ([with_start(content=[{}]), *ANSWER[1:]], "content must be empty"),
    "no usage": ([with_start(usage=None), *ANSWER[1:]], "usage is"),
    "usage without input": (
        [with_start(usage={"output_tokens": 1}), *ANSWER[1:]],
        "no input_tokens",
    ),
    "first index 1": ([START, *text(1, "a"), ending("end_turn"), STOP], "expected 0"),
    "a gap": ([START, *text(0, "a"), *text(2, "b"), ending("end_turn"), STOP], "expected 1"),
    "two open at once": ([START, *text(0, "a")[:-1], *text(1, "b")], "still open"),
    "delta for a closed block": ([*ANSWER[:5], delta(0, type="text_delta", text="x")], "is open"),
    "delta of another index": (
        [START, *text(0, "a")[:-1], delta(1, type="text_delta", text="x")],
        "block 0 is open",
    ),
    "stop of another index": ([START, *text(0, "a")[:-1], closed(1)], "block 0 is open"),
    "json in a text": (
        [START, *text(0, "a")[:-1], delta(0, type="input_json_delta", partial_json="")],
        "takes no input_json_delta",
    ),
    "text in a call": (
        [START, *tool(0)[:-1], delta(0, type="text_delta", text="a")],
        "takes no text_delta",
    ),
    "text that is null": (
        [START, *text(0)[:-1], delta(0, type="text_delta", text=None)],
        "not a string",
    ),
    "text at the start": ([START, opened(0, type="text", text="a")], "not empty"),
    "unknown block": ([START, opened(0, type="function")], "unknown type of block"),
    "thinking after its signature": (
        [START, *thinking(0, "a")[:-1], delta(0, type="thinking_delta", thinking="b")],
        "after its signature",
    ),
    "empty text": ([START, *text(0), ending("end_turn"), STOP], "empty text block"),
    "empty thinking": (
        [START, opened(0, type="thinking", thinking="", signature=""), closed(0)],
        "empty thinking block",
    ),
    "half an input": ([START, *tool(0, '{"a'), ending("tool_use"), STOP], "is no JSON"),
    "half an input, and on": ([START, *tool(0, '{"a'), *tool(1, id="toolu_2")], "a block behind"),
    "a tool with a dot": (
        [START, opened(0, type="tool_use", id="toolu_1", name="a.b", input={})],
        "tool name 'a.b' is malformed",
    ),
    "a list as input": ([START, *tool(0, "[1]"), ending("tool_use"), STOP], "not an object"),
    "an input at the start": (
        [START, opened(0, type="tool_use", id="toolu_1", name="Read", input={"a": 1})],
        "must be {}",
    ),
    "an id twice": ([START, *tool(0), *tool(1), ending("tool_use"), STOP], "used twice"),
    "an id with a colon": ([START, *tool(0, id="functions.Read:0")], "malformed"),
    "a call that ends the turn": ([START, *tool(0), ending("end_turn"), STOP], "tool is called"),
    "tool_use without a call": ([*ANSWER[:-2], ending("tool_use"), STOP], "no tool is called"),
    "a foreign reason": ([*ANSWER[:-2], ending("length"), STOP], "unknown stop_reason"),
    "a sequence unasked": ([*ANSWER[:-2], ending("end_turn", "x"), STOP], "stop_sequence is"),
    "no output tokens": ([*ANSWER[:-2], ending("end_turn", tokens=None), STOP], "output_tokens is"),
    "negative tokens": ([*ANSWER[:-2], ending("end_turn", tokens=-1), STOP], "output_tokens is"),
    "tokens of half": ([*ANSWER[:-2], ending("end_turn", tokens=0.5), STOP], "output_tokens is"),
    "delta while open": ([*ANSWER[:4], ending("end_turn"), STOP], "still open"),
    "a block behind the delta": ([*ANSWER[:-1], *text(1, "b"), STOP], "after message_delta"),
    "no delta": ([*ANSWER[:-2], STOP], "without message_delta"),
    "no stop": (ANSWER[:-1], "without message_stop"),
    "two stops": ([*ANSWER, STOP], "follow the end"),
    "a ping behind": ([*ANSWER, {"type": "ping"}], "follow the end"),
    "an unknown event": ([START, {"type": "response.created"}], "unknown event"),
    "an error unasked": ([START, ERROR], "an error: "),
}


@pytest.mark.parametrize(("events", "rule"), BROKEN.values(), ids=BROKEN)
def test_a_broken_stream_is_refused(events: Events, rule: str) -> None:
    with pytest.raises(BrokenStream, match=rule):
        validate(wire(events))


@pytest.mark.parametrize(
    ("events", "rule"),
    [
        ([START, ERROR, STOP], "follow an error"),
        ([START, {"type": "error", "error": "boom"}], "error is"),
        ([{"type": "error", "error": {"type": "Boom", "message": "x"}}], "unknown type of error"),
        ([{"type": "error", "error": {"type": "api_error"}}], "message is"),
    ],
    ids=["goes on", "no object", "foreign type", "no message"],
)
def test_an_error_has_anthropics_form_and_is_the_last_thing(events: Events, rule: str) -> None:
    with pytest.raises(BrokenStream, match=rule):
        validate(wire(events), allow_error=True)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda b: b[:-1], "ends within an event"),
        (lambda b: b + b"event: ping\n", "ends within an event"),
        (lambda b: b.replace(b"event: message_stop", b"event: ping"), "type in the data"),
        (lambda b: b.replace(b"event: message_stop\n", b""), "needs both"),
        (lambda b: b.replace(b"event: message_stop\n", b"id: 1\n"), "unexpected line"),
        (lambda b: b.replace(b"data: {", b"data: {{", 1), "no JSON"),
        (lambda b: b.replace(b"Hel", b"\xff"), "not UTF-8"),
        (lambda b: b + b"data: [DONE]\n\n", "needs both"),
        (lambda b: b'{"type": "message"}', "ends within"),
    ],
    ids=[
        "no blank line at the end",
        "half an event",
        "name and type differ",
        "no name",
        "an id",
        "no JSON",
        "no UTF-8",
        "OpenAI's ending",
        "no stream",
    ],
)
def test_broken_framing_is_refused(change: Callable[[bytes], bytes], rule: str) -> None:
    with pytest.raises(BrokenStream, match=rule):
        validate(change(wire(ANSWER)))


_BLOCKS = st.one_of(
    st.tuples(st.just("text"), st.lists(st.text(min_size=1), min_size=1)),
    st.tuples(st.just("thinking"), st.lists(st.text(min_size=1), min_size=1)),
    st.tuples(st.just("tool_use"), st.dictionaries(st.text(), st.integers() | st.text())),
)


def _stream(blocks: list[tuple[str, Any]]) -> Events:
    events: Events = [copy.deepcopy(START)]
    for index, (kind, value) in enumerate(blocks):
        if kind == "tool_use":
            said = json.dumps(value)
            events += tool(index, said[:3], said[3:], id=f"toolu_{index}")
        else:
            events += {"text": text, "thinking": thinking}[kind](index, *value)
    calls = any(kind == "tool_use" for kind, _ in blocks)
    return [*events, ending("tool_use" if calls else "end_turn"), copy.deepcopy(STOP)]


@given(st.lists(_BLOCKS, max_size=4))
def test_any_message_comes_back_as_it_was_sent(blocks: list[tuple[str, Any]]) -> None:
    field = {"text": "text", "thinking": "thinking", "tool_use": "input"}
    sent = [(kind, v if kind == "tool_use" else "".join(v)) for kind, v in blocks]
    message = validate(wire(_stream(blocks)))
    assert [(b["type"], b[field[b["type"]]]) for b in message.content] == sent


@given(st.lists(_BLOCKS, min_size=1, max_size=3), st.data())
def test_a_stream_that_lacks_an_event_of_its_frame_is_refused(
    blocks: list[tuple[str, Any]], data: st.DataObject
) -> None:
    events = _stream(blocks)
    frame = [i for i, event in enumerate(events) if event["type"] != "content_block_delta"]
    del events[data.draw(st.sampled_from(frame))]
    with pytest.raises(BrokenStream):
        validate(wire(events))


@given(st.lists(_BLOCKS, min_size=1, max_size=3), st.data())
def test_a_stream_with_an_event_twice_is_refused(
    blocks: list[tuple[str, Any]], data: st.DataObject
) -> None:
    events = _stream(blocks)
    once = [
        i
        for i, event in enumerate(events)
        if event["type"] not in ("content_block_delta", "message_delta")
    ]
    at = data.draw(st.sampled_from(once))
    events.insert(at, events[at])
    with pytest.raises(BrokenStream):
        validate(wire(events))


@given(st.binary())
def test_any_bytes_are_refused_or_read_and_nothing_else(body: bytes) -> None:
    with pytest.raises(BrokenStream):
        validate(body)
