from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.openai.chat.answer import ChatAnswer
from neurolink_mitm.core.response.sse import encode
from tests.core.openai.answers import (
    CALL,
    FOUND,
    REDACTED,
    SEARCH,
    THINKING,
    events,
    message,
    messages,
    streamed,
    text,
)
from tests.core.openai.chat.chunks import chunks, completion, data_of, deltas, joined, written
from tests.linear import assert_linear

ANSWER = ChatAnswer("gpt-4o")
WITH_USAGE = ChatAnswer("gpt-4o", include_usage=True)
JSON = ChatAnswer("gpt-4o", json=True)
ROLE = {"role": "assistant", "content": ""}


def stream(*content: Any, answer: ChatAnswer = ANSWER, **more: Any) -> bytes:
    return written(streamed(message(*content, **more)), answer)


def test_text_comes_in_its_deltas_behind_the_role() -> None:
    body = stream(text('Hi "you"\n'), text("…"))
    assert deltas(body) == [ROLE, {"content": 'Hi "'}, {"content": 'you"'}, {"content": "\n"},
                            {"content": "…"}, {}]  # fmt: skip
    every = chunks(body)
    assert {chunk["id"] for chunk in every} == {"chatcmpl-r1"}
    assert {chunk["created"] for chunk in every} == {1_700_000_000}
    assert {chunk["model"] for chunk in every} == {"gpt-4o"}
    assert [chunk["choices"][0]["finish_reason"] for chunk in every] == [None] * 5 + ["stop"]


def test_calls_are_counted_by_themselves() -> None:
    empty = {**CALL, "id": "toolu_2", "name": "now", "input": {}}
    found = deltas(stream(THINKING, text("a"), CALL, text("b"), empty, stop_reason="tool_use"))
    calls = [delta["tool_calls"][0] for delta in found if "tool_calls" in delta]
    assert calls[0] == {
        "index": 0, "id": "toolu_1", "type": "function",
        "function": {"name": "read", "arguments": ""},
    }  # fmt: skip
    first = "".join(call["function"]["arguments"] for call in calls if call["index"] == 0)
    assert json.loads(first) == CALL["input"]
    assert calls[-2:] == [
        {"index": 1, "id": "toolu_2", "type": "function", "function": {"name": "now", "arguments": ""}},
        {"index": 1, "function": {"arguments": "{}"}},
    ]  # fmt: skip
    assert "".join(delta.get("content", "") for delta in found) == "ab"


def test_what_a_tool_of_anthropics_does_is_not_shown() -> None:
    body = stream(
        text("a", citations=[{"cited_text": "x"}]), SEARCH, FOUND, {"type": "new"}, text("b")
    )
    assert deltas(body) == [ROLE, {"content": "a"}, {"content": "b"}, {}]


def test_thinking_comes_as_words_and_signed() -> None:
    found = deltas(stream(THINKING, REDACTED, text("a")))
    words = "".join(delta.get("reasoning_content", "") for delta in found)
    assert words == THINKING["thinking"]
    assert [delta["reasoning_details"] for delta in found if "reasoning_details" in delta] == [
        [{"type": "reasoning.text", "index": 0, "format": "anthropic-claude-v1",
          "text": THINKING["thinking"], "signature": THINKING["signature"]}],
        [{"type": "reasoning.encrypted", "index": 1, "format": "anthropic-claude-v1",
          "data": REDACTED["data"]}],
    ]  # fmt: skip


def test_usage_comes_last_where_it_is_wanted() -> None:
    *before, last = chunks(stream(text("a"), answer=WITH_USAGE))
    assert all(chunk["usage"] is None for chunk in before)
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 3210, "completion_tokens": 42, "total_tokens": 3252,
        "prompt_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 3000},
        "completion_tokens_details": {"reasoning_tokens": 7},
    }  # fmt: skip
    assert all("usage" not in chunk for chunk in chunks(stream(text("a"))))


@pytest.mark.parametrize("usage", [None, {}, {"input_tokens": "x"}], ids=repr)
def test_usage_that_is_not_reported_is_nought(usage: Any) -> None:
    last = chunks(stream(text("a"), answer=WITH_USAGE, usage=usage))[-1]["usage"]
    assert (last["prompt_tokens"], last["completion_tokens"], last["total_tokens"]) == (0, 0, 0)
    assert last["completion_tokens_details"] == {"reasoning_tokens": 0}


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("of_tomorrow", "stop"),
        (None, "stop"),
    ],
)
def test_the_reason_of_the_end(stop: str | None, finish: str) -> None:
    body = stream(text("a"), stop_reason=stop)
    assert chunks(body)[-1]["choices"][0]["finish_reason"] == finish
    whole = ANSWER.whole(json.dumps(message(text("a"), stop_reason=stop)).encode(), "r", 1)
    assert completion(whole)["choices"][0]["finish_reason"] == finish


def test_a_call_is_the_reason_where_none_is_known() -> None:
    assert chunks(stream(CALL, stop_reason=None))[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_an_error_ends_the_stream_without_done() -> None:
    writer = ANSWER.stream("r", 1)
    writer.event("message_start", b'{"message":{}}')
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Cut off."}}
    sent = writer.event("error", json.dumps(error).encode())
    (data,) = data_of(sent)
    assert json.loads(data) == {
        "error": {"message": "Cut off.", "type": "server_error", "param": None, "code": "server_is_overloaded"}
    }  # fmt: skip
    assert writer.event("message_stop", b"{}") + writer.end() == b""


def test_a_stream_that_just_ends_gets_an_error() -> None:
    body = streamed(message(text("a"))).partition(b"event: message_stop")[0]
    last = data_of(written(body, ANSWER))[-1]
    assert "cut off upstream" in json.loads(last)["error"]["message"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("content_block_delta", "{"),
        ("content_block_delta", '{"index": 0, "delta": {"type": "text_delta", "text": 5}}'),
        ("content_block_delta", '{"index": 0, "delta": ["text_delta"]}'),
        ("content_block_delta", '{"index": "x", "delta": {"type": "text_delta", "text": "a"}}'),
        ("content_block_delta", '{"delta": {"type": "text_delta", "text": "\udcff"}}'),
        ("content_block_start", '{"index": 0}'),
        ("content_block_start", '{"content_block": {"type": "tool_use", "id": 1, "name": "x"}}'),
        ("content_block_start", '{"content_block": {"type": "tool_use", "id": "x", "name": ""}}'),
        ("content_block_stop", "[]"),
        ("message_delta", '{"delta": {"stop_reason": 7}}'),
    ],
)
def test_an_event_that_cannot_be_read_is_an_error(name: str, data: str) -> None:
    writer = ANSWER.stream("r", 1)
    (sent,) = data_of(writer.event(name, data.encode("utf-8", "surrogateescape")))
    assert "can't be read" in json.loads(sent)["error"]["message"]
    assert writer.end() == b""


def test_what_is_left_out_or_new_in_events_does_no_harm() -> None:
    writer = ANSWER.stream("r", 1)
    sent = [
        writer.event("content_block_delta", b'{"index":0,"delta":{"type":"text_delta","text":null}}'),
        writer.event("content_block_delta", b'{"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}'),
        writer.event("of_tomorrow", b"[]"),
        writer.event("content_block_delta", b'{"delta":{"type":"input_json_delta","partial_json":"x"}}'),
        writer.event("content_block_delta", b'{"delta":{"type":"of_tomorrow"}}'),
        writer.event("content_block_start",
                     b'{"index":1,"content_block":\n{"type":"tool_use","id":"t","name":"n","input":{"a":1}}}'),
        writer.event("message_stop", b'{}'),
        writer.end(),
    ]  # fmt: skip
    found = joined(b"".join(sent))["choices"][0]
    assert found["message"]["content"] == "a"
    assert json.loads(found["message"]["tool_calls"][0]["function"]["arguments"]) == {"a": 1}


@settings(max_examples=40, deadline=None)
@given(messages(), st.integers(1, 40), st.integers(1, 9))
def test_streamed_and_whole_say_the_same(given_: Any, size: int, piece: int) -> None:
    """In any split, as openai-python joins it."""
    body = streamed(given_, piece)
    one = written(body, WITH_USAGE, size)
    assert one == written(body, WITH_USAGE)
    whole = completion(WITH_USAGE.whole(json.dumps(given_).encode(), "r1", 1_700_000_000))
    assert told(joined(one)) == told(whole)


def told(found: Any) -> Any:
    choice = found["choices"][0]
    said = choice["message"]
    calls = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in said.get("tool_calls") or ()
    ]
    return (
        choice["finish_reason"], said["content"] or "", said.get("reasoning_content", ""),
        said.get("reasoning_details", []), calls, found["usage"], found["id"], found["model"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "content"),
    [
        pytest.param('Here:\n```json\n{"a": "b\nc"}\n```', {"a": "b\nc"}, id="fence"),
        pytest.param('{"a": [1,]}', {"a": [1]}, id="plain"),
    ],
)
def test_json_is_all_of_the_text(words: str, content: Any) -> None:
    half = len(words) // 2
    found = joined(stream(text(words[:half]), text(words[half:]), answer=JSON))
    assert json.loads(found["choices"][0]["message"]["content"]) == content


def test_text_that_is_no_json_is_an_error() -> None:
    for words in ("I can't.", '{"a": 1', '{"a" 1}'):
        last = json.loads(data_of(stream(text(words), answer=JSON))[-1])
        assert last["error"]["code"] == "invalid_json"
        assert words in last["error"]["message"]


def test_json_may_be_cut_off_or_not_be_there_beside_calls() -> None:
    cut = joined(stream(text('{"a": "b'), answer=JSON, stop_reason="max_tokens"))["choices"][0]
    assert (cut["message"]["content"], cut["finish_reason"]) == ('{"a": "b', "length")
    calling = joined(stream(text("I look"), CALL, answer=JSON, stop_reason="tool_use"))
    assert calling["choices"][0]["message"]["content"] == ""


def test_long_arguments_take_linear_time() -> None:
    def argued(size: int) -> list[tuple[str, bytes]]:
        call = {**CALL, "input": {"text": "x" * size}}
        return [(name, json.dumps(data).encode()) for name, data in events(message(call), 20)]

    def write(given_: list[tuple[str, bytes]]) -> None:
        writer = ANSWER.stream("r", 1)
        for name, data in given_:
            writer.event(name, data)

    assert_linear(write, argued)


def test_lines_of_an_event_do_not_become_lines_of_a_chunk() -> None:
    event = encode(
        "content_block_delta", b'{"index":0,\ndata: "delta":{"type":"text_delta","text":"a"}}'
    )
    assert deltas(written(event + encode("message_stop", b"{}"), ANSWER)) == [
        ROLE,
        {"content": "a"},
        {},
    ]
