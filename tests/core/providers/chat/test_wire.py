from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.providers.chat.events import ChatEvents
from neurolink_mitm.core.providers.chat.wire import DONE, WireReader, chat_chunk
from neurolink_mitm.core.providers.stream import ProviderStream
from tests.anthropic_stream import Message, validate
from tests.linear import assert_linear

Json = dict[str, Any]
ODD_LINES = "a\u2028b\u2029c\x85d\u000be"
"""What Python, and httpx with it, takes for the end of a line."""


def read(*pieces: bytes) -> list[Json]:
    reader = WireReader()
    return [chunk for piece in pieces for chunk in reader.feed(piece)] + reader.end()


def answer(*pieces: bytes) -> Message:
    events, stream = ChatEvents(), ProviderStream("msg_1", "m")
    given = [event for chunk in read(*pieces) for event in events.feed(chunk)]
    return validate(b"".join(map(stream.feed, (*given, *events.end()))), allow_error=True)


def sse(*values: Any) -> bytes:
    return b"".join(
        b"data: %s\n\n" % json.dumps(each, ensure_ascii=False).encode() for each in values
    )


def lines(*values: Any) -> bytes:
    return b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in values)


def text(words: str, reason: str | None = None) -> Json:
    return {"choices": [{"index": 0, "delta": {"content": words}, "finish_reason": reason}]}


def ollama(done: Any = False, **message: Any) -> Json:
    return {"model": "m", "message": {"role": "assistant", **message}, "done": done}


def gemini(*parts: Json, **candidate: Any) -> Json:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, **candidate}]}


def test_events_are_read() -> None:
    data = b": OPENROUTER PROCESSING\n\n" + sse(text("so")) + b"data: ping\n\ndata: [DONE]\n\n"
    assert read(data) == [text("so"), DONE]


def test_no_letter_ends_a_line_but_the_end_of_a_line() -> None:
    words = ODD_LINES + " [DONE]"
    assert answer(sse(text(words, "stop"))).text == words
    assert answer(lines(ollama(content=words), ollama(done=True))).text == words


def test_an_event_that_is_no_json_is_an_error() -> None:
    told = answer(sse(text("so")), b'data: {"choices": [{\n\n', sse(text("x", "stop")))
    assert (told.text, bool(told.error)) == ("so", True)


@pytest.mark.parametrize(
    "event",
    [b'event: error\ndata: {"message": "no"}\n\n', b'event: error\ndata: {"error": {"message": "no"}}\n\n',
     b'data: {"error": {"message": "no"}}\n\n', b'data: [{"error": {"message": "no"}}]\n\n'],
)  # fmt: skip
def test_an_event_that_is_an_error(event: bytes) -> None:
    assert read(event) == [{"error": {"message": "no"}}]


@pytest.mark.parametrize(
    "body", [lines(text("so", "stop")), json.dumps(text("so"), indent=1).encode()]
)
def test_an_answer_that_is_not_streamed_after_all(body: bytes) -> None:
    body = body.replace(b'"delta"', b'"message"')
    assert answer(body[:9], body[9:]).text == "so"


def test_letters_that_come_in_halves() -> None:
    """Of servers in JavaScript; half a letter is no UTF-8."""
    data = sse(text("a")) + b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n\n'
    rest = b'data: {"choices": [{"delta": {"content": "\\ude00 \\ud83d"}, "finish_reason": "stop"}]}\n\n'
    assert answer(data, rest).text == "a\U0001f600 "


def test_bytes_that_are_no_utf_8_are_told_as_such() -> None:
    assert answer(sse(text("X", "stop")).replace(b"X", b"a\xff")).text == "a\ufffd"


def test_ollamas_answer() -> None:
    told = answer(lines(
            ollama(content="", thinking="hm"),
            ollama(content="so"),
            ollama(content="", tool_calls=[{"function": {"name": "ls", "arguments": {"p": n}}} for n in (1, 2)]),
            {**ollama(done=True, content=""), "done_reason": "stop", "prompt_eval_count": 7, "eval_count": 2},
        ),
    )  # fmt: skip
    assert [block["type"] for block in told.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert [block["input"] for block in told.tool_uses] == [{"p": 1}, {"p": 2}]
    assert (told.usage["input_tokens"], told.usage["output_tokens"]) == (7, 2)


@pytest.mark.parametrize(
    ("last", "reason"),
    [({"done_reason": "length"}, "max_tokens"), ({"done_reason": "load"}, None), ({}, "end_turn"),
     ({"done": False}, None), ({"done": False, "error": "out of memory"}, None)],
    ids=["length", "load", "older", "cut", "error"],
)  # fmt: skip
def test_how_ollamas_answer_ends(last: Json, reason: str | None) -> None:
    told = answer(lines(ollama(content="so"), {**ollama(done=True), **last}))
    assert (told.stop_reason, bool(told.error)) == (reason, reason is None)


def test_geminis_answer() -> None:
    called = {"functionCall": {"name": "ls", "args": {"p": 1}}, "thoughtSignature": "S"}
    again = {"functionCall": {"name": "ls", "args": {"p": 1}, "id": "g1"}}
    told = answer(sse(
            gemini({"text": "hm", "thought": True}),
            gemini({"text": "so"}, {"inlineData": {}}),
            gemini(called, again),
            {**gemini(finishReason="STOP"),
             "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 2, "thoughtsTokenCount": 3,
                               "totalTokenCount": 14, "cachedContentTokenCount": 4}},
        ),
    )  # fmt: skip
    assert [block["type"] for block in told.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert told.usage == {"input_tokens": 5, "output_tokens": 5, "cache_read_input_tokens": 4}
    call = chat_chunk(gemini(called))["choices"][0]["delta"]["tool_calls"][0]
    assert call["provider_specific_fields"] == {"thought_signature": "S"}


@pytest.mark.parametrize(
    ("last", "reason"),
    [(gemini(finishReason="MAX_TOKENS"), "max_tokens"), (gemini(finishReason="SAFETY"), "refusal"),
     ({"candidates": [{"finishReason": "RECITATION"}]}, "refusal"),
     ({"promptFeedback": {"blockReason": "OTHER"}}, "refusal"),
     ({"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL", "content": {}}]}, None),
     (gemini({"functionCall": {"name": "ls", "args": {}}}, finishReason="UNEXPECTED_TOOL_CALL"), None),
     (gemini(), None), ({"error": {"code": 429, "message": "slow down"}}, None)],
    ids=["length", "safety", "recitation", "prompt", "malformed", "unexpected", "cut", "error"],
)  # fmt: skip
def test_how_geminis_answer_ends(last: Json, reason: str | None) -> None:
    told = answer(sse(gemini({"text": "so"}), last))
    assert (told.stop_reason, bool(told.error), told.text) == (reason, reason is None, "so")


def test_a_prompt_that_gemini_blocks_is_a_refusal_without_a_word() -> None:
    assert answer(sse({"promptFeedback": {"blockReason": "SAFETY"}})).stop_reason == "refusal"


STREAMS = [
    sse(text("a\u2028b"), text("ü", "stop")) + b"data: [DONE]\n\n",
    lines(ollama(content="a\u2028b"), ollama(done=True, content="ü")),
    b"\n" + json.dumps(text("ü", "stop"), indent=1).encode(),
]


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 200), max_size=4))
def test_any_split_gives_the_same_chunks(data: bytes, places: Sequence[int]) -> None:
    at = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    pieces = [data[a:b] for a, b in pairwise(at)]
    assert read(*pieces) == read(data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda v: st.lists(v, max_size=2) | st.dictionaries(st.sampled_from(
        ["candidates", "content", "parts", "text", "functionCall", "name", "args", "done", "message",
         "usageMetadata", "promptFeedback", "blockReason", "thought", "tool_calls"]), v, max_size=3),
)  # fmt: skip


@given(st.lists(VALUES | st.binary(max_size=9), max_size=4), st.sampled_from([sse, lines]))
def test_whatever_comes_can_be_read(values: list[Any], write: Callable[[Any], bytes]) -> None:
    data = b"".join(each if isinstance(each, bytes) else write(each) for each in values)
    events = ChatEvents()
    for chunk in read(data):
        events.feed(chunk)
    events.end()


@pytest.mark.parametrize("start", [b"", b"{\n"], ids=["events", "lines"])
@pytest.mark.parametrize(
    "unit", [b"a", b"\n", b"{}\n", b"data: {}\n\n", b"data: {\n", b"["], ids=repr
)
def test_it_is_linear(start: bytes, unit: bytes) -> None:
    def make(size: int) -> list[bytes]:
        data = start + unit * (size // len(unit))
        return [data[at : at + 64] for at in range(0, len(data), 64)]

    assert_linear(lambda pieces: read(*pieces), make)
