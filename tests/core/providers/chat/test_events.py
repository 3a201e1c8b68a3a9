from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.providers.chat.events import ChatEvents
from neurolink_mitm.core.providers.collected import message_of
from neurolink_mitm.core.providers.signatures import sign
from neurolink_mitm.core.providers.stream import ProviderStream, whole
from tests.anthropic_stream import Message, validate
from tests.linear import assert_linear

Json = dict[str, Any]
DONE: Json = {"done": True}


def chunk(delta: Any = None, reason: Any = None, **more: Any) -> Json:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}


def text(words: Any, reason: Any = None) -> Json:
    return chunk({"content": words}, reason)


def call(arguments: Any, name: Any = None, id_: Any = None, index: Any = 0) -> Json:
    function = {"name": name, "arguments": arguments}
    return chunk({"tool_calls": [{"index": index, "id": id_, "function": function}]})


def sent(chunks: Iterable[Json], **more: Any) -> bytes:
    events, stream = ChatEvents(**more), ProviderStream("msg_1", "m")
    given = [event for each in chunks for event in events.feed(copy.deepcopy(each))]
    return b"".join(map(stream.feed, (*given, *events.end())))


def answer(*chunks: Json, **more: Any) -> Message:
    return validate(sent(chunks, **more))


def of_whole(message: Json, reason: Any = "stop") -> Json:
    """The loose message for an answer that is not streamed after all."""
    found = loose({"choices": [{"message": message, "finish_reason": reason}]}, {"done": True})
    assert found
    return found


def loose(*chunks: Json, **more: Any) -> Json | None:
    events = ChatEvents(**more)
    return message_of([*(event for each in chunks for event in events.feed(each)), *events.end()])


STOP = chunk({}, "stop")
CALLS = chunk({}, "tool_calls")
BLOCKS: dict[str, tuple[list[Json], list[tuple[str, Any]]]] = {
    "text": ([text("so"), text(" it is"), STOP], [("text", "so it is")]),
    "the reason in the last word": ([text("so"), text(" it is", "stop")], [("text", "so it is")]),
    "white space before words": ([text("\n"), text("\nso"), STOP], [("text", "\n\nso")]),
    "white space before a call": ([text("\n\n"), call("{}", "ls", "a"), CALLS], [("tool_use", {})]),
    "text, then calls": ([text("so"), call("{}", "ls", "a"), call('{"b": 1}', "ls", "b", 1), CALLS],
                         [("text", "so"), ("tool_use", {}), ("tool_use", {"b": 1})]),
    "a call, then text": ([call("{}", "ls", "a"), text("so"), CALLS], [("text", "so"), ("tool_use", {})]),
    "calls, but stop": ([call("{}", "ls", "a"), STOP], [("tool_use", {})]),
    "a call of old": ([chunk({"function_call": {"name": "ls", "arguments": '{"a"'}}),
                       chunk({"function_call": {"arguments": ": 1}"}}, "function_call")], [("tool_use", {"a": 1})]),
    "an id that is missing": ([call("{}", "ls"), call("{}", "ls", index=1), CALLS],
                              [("tool_use", {}), ("tool_use", {})]),
    "reasoning_content": ([chunk({"reasoning_content": "hm"}), text("so", "stop")],
                          [("thinking", "hm"), ("text", "so")]),
    "reasoning": ([chunk({"reasoning": "hm", "content": ""}), text("so", "stop")],
                  [("thinking", "hm"), ("text", "so")]),
    "both": ([chunk({"reasoning": "hm", "reasoning_content": "hm"}), text("so", "stop")],
             [("thinking", "hm"), ("text", "so")]),
    "reasoning_details": ([chunk({"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}),
                           text("so", "stop")],
                          [("thinking", "hm"), ("text", "so")]),
    "white space within reasoning": ([chunk({"reasoning": "a"}), text("\n"), chunk({"reasoning": "b"}), text("so"),
                                      STOP], [("thinking", "ab"), ("text", "\nso")]),
    "white space within more reasoning": ([text("so"), chunk({"reasoning": "a"}), text("\n"), chunk({"reasoning": "b"}),
                                            STOP], [("text", "so"), ("thinking", "ab")]),
    "parts": ([chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}),
               chunk({"content": [{"type": "text", "text": "so"}, "!"]}, "stop")],
              [("thinking", "hm"), ("text", "so!")]),
    "tags": ([text("<thi"), text("nk>hm</think>\n"), text("\nso"), STOP], [("thinking", "hm"), ("text", "so")]),
    "an unfinished tag": ([text("<thi"), STOP], [("text", "<thi")]),
    "litellm's own form": ([{"text": "so", "is_finished": False, "finish_reason": "", "index": 0},
                            {"text": "", "is_finished": True, "finish_reason": "stop", "index": 0}], [("text", "so")]),
    "chunks of nonsense": ([{}, {"choices": None}, {"choices": [None, 7]}, chunk(7), text(7), text([None, 7]),
                            chunk({"tool_calls": 7}), chunk({"tool_calls": [None]}), text("so", "stop")],
                           [("text", "so")]),
    "an error that is none": ([text("so"), {"error": None, **STOP}], [("text", "so")]),
    "an error behind the end": ([text("so", "stop"), {"error": {"message": "x"}}], [("text", "so")]),
}  # fmt: skip


@pytest.mark.parametrize(("chunks", "wanted"), BLOCKS.values(), ids=BLOCKS)
def test_what_a_stream_says(chunks: list[Json], wanted: list[tuple[str, Any]]) -> None:
    told = answer(*chunks)
    assert [(b["type"], b.get("input", b.get(b["type"]))) for b in told.content] == wanted
    calls = any(kind == "tool_use" for kind, _ in wanted)
    assert told.stop_reason == ("tool_use" if calls else "end_turn")


HALF = call('{"a": ', "ls", "a")
ENDS: dict[str, tuple[list[Json], str | None]] = {
    "stop": ([text("so"), STOP], "end_turn"),
    "[DONE] alone": ([text("so"), DONE], "end_turn"),
    "neither": ([text("so")], None),
    "neither, after a call": ([call("{}", "ls", "a")], None),
    "length": ([text("so"), chunk({}, "length")], "max_tokens"),
    "length, then [DONE]": ([text("so"), chunk({}, "length"),
                             {"text": "", "is_finished": True, "finish_reason": "stop"}], "max_tokens"),
    "length, in a call": ([text("so"), HALF, chunk({}, "length")], "max_tokens"),
    "half a call": ([text("so"), HALF, CALLS], None),
    "a filter": ([text("so"), chunk({}, "content_filter")], "refusal"),
    "a filter at once": ([chunk({}, "content_filter")], "refusal"),
    "a filter, after a call": ([text("so"), call("{}", "ls", "a"), chunk({}, "content_filter")], "refusal"),
    "a refusal": ([chunk({"refusal": "I"}), chunk({"refusal": " can't"}), STOP], "refusal"),
    "a failure of the model": ([text("so"), chunk({}, "MALFORMED_FUNCTION_CALL")], None),
    "an error": ([text("so"), {"error": {"message": "overloaded", "code": 503}}], None),
}  # fmt: skip


@pytest.mark.parametrize(("chunks", "reason"), ENDS.values(), ids=ENDS)
def test_how_a_stream_ends(chunks: list[Json], reason: str | None) -> None:
    told = validate(sent(chunks), allow_error=True)
    assert (told.stop_reason, bool(told.error)) == (reason, reason is None)
    assert not told.tool_uses


@pytest.mark.parametrize("words", ["", "\n\n", " "], ids=repr)
def test_what_says_nothing_is_empty(words: str) -> None:
    assert sent([text(words), STOP]) == b""
    assert whole(of_whole({"content": words}), "msg_1", "m") is None


@pytest.mark.parametrize("chunks", [[], [text("")], [{"error": {"message": "x", "code": 429}}],
                                    [chunk({}, "OTHER")]], ids=["", "blank", "error", "other"])  # fmt: skip
def test_what_fails_before_a_word_sends_nothing(chunks: list[Json]) -> None:
    assert sent(chunks) == b""


def test_a_refusal_is_text() -> None:
    assert answer(chunk({"refusal": "I can't"}), STOP).text == "I can't"
    assert of_whole({"content": None, "refusal": "I can't"})["stop_reason"] == "refusal"


def test_the_last_tokens_count() -> None:
    counts = ({"prompt_tokens": 5, "completion_tokens": n} for n in (1, 2, 0))
    told = answer(text("so"), *({**chunk({}), "usage": each} for each in counts), STOP)
    assert (told.usage["input_tokens"], told.usage["output_tokens"]) == (5, 2)
    halves = ({"prompt_tokens": 9, "cache_read_input_tokens": 3}, {"completion_tokens": 2})
    told = answer(text("so"), *({**chunk({}), "usage": each} for each in halves), STOP)
    assert told.usage == {"input_tokens": 6, "output_tokens": 2, "cache_read_input_tokens": 3}
    told = answer(text("so", "stop"), {"choices": [], "usage": {"prompt_tokens": 5}}, {"usage": {}})
    assert told.usage["input_tokens"] == 5


def test_a_sequence_of_the_request_ended_it() -> None:
    ended = {"choices": [{"delta": {}, "finish_reason": "stop", "stop_reason": "END"}]}
    told = answer(text("so"), ended, stop_sequences=["END"])
    assert (told.stop_reason, told.stop_sequence) == ("stop_sequence", "END")


CLAUDES = [
    chunk({"reasoning_content": "hm", "thinking_blocks": [{"type": "thinking", "thinking": "hm"}]}),
    chunk({"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "S"}]}),
    chunk({"thinking_blocks": [{"type": "redacted_thinking", "data": "D"}]}),
    chunk({"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "T"}]}),
    text("so", "stop"),
]


def test_claudes_thinking_on_a_cloud_keeps_its_signature_for_it() -> None:
    told = answer(*CLAUDES, own_thinking="claude")
    assert told.content == [
        {"type": "thinking", "thinking": "hm", "signature": sign("claude", "S")},
        {"type": "redacted_thinking", "data": sign("claude", "D")},
        {"type": "thinking", "thinking": "", "signature": sign("claude", "T")},
        {"type": "text", "text": "so"},
    ]


def test_thinking_that_is_not_handed_back_has_no_signature() -> None:
    told = answer(*CLAUDES)
    assert [block["type"] for block in told.content] == ["thinking", "text"]
    assert told.content[0]["signature"] == ""


def test_thinking_that_has_no_signature_gets_the_mark_of_its_author() -> None:
    told = answer(chunk({"reasoning_content": "hm"}), text("so", "stop"), own_thinking="deepseek")
    assert told.content[0]["signature"] == sign("deepseek", "")


def test_a_call_begins_the_answer_before_its_input_is_known() -> None:
    stream, events = ProviderStream("msg_1", "m"), ChatEvents()
    assert b"message_start" in b"".join(map(stream.feed, events.feed(call("", "ls", "a"))))


def test_an_error_tells_its_status() -> None:
    error = {"error": {"message": "slow down", "code": 429}}
    wanted = {"type": "error", "error": {"message": "slow down"}, "status": 429}
    assert ChatEvents().feed(error) == [wanted]


@pytest.mark.parametrize("reason", ["stop", None, "tool_calls"])
def test_calls_of_a_whole_answer(reason: Any) -> None:
    """They may share an index, and arguments may be an object."""
    calls = [
        {"id": "a", "index": 0, "function": {"name": "ls", "arguments": {"p": n}}} for n in (1, 2)
    ]
    told = whole(of_whole({"content": "\n", "tool_calls": calls}, reason), "msg_1", "m")
    assert told
    assert [block["input"] for block in told["content"]] == [{"p": 1}, {"p": 2}]
    assert told["stop_reason"] == "tool_use"


def test_a_whole_answer_in_several_choices() -> None:
    """GitHub's server gives text and calls one each."""
    calls = [{"id": "a", "function": {"name": "ls", "arguments": "{}"}}]
    messages = ({"content": "so"}, {"content": None, "tool_calls": calls})
    made = [
        {"index": n, "message": each, "finish_reason": "tool_calls"}
        for n, each in enumerate(messages)
    ]
    told = answer({"choices": made})
    assert [block["type"] for block in told.content] == ["text", "tool_use"]


def test_a_half_call_of_a_whole_answer_is_an_error() -> None:
    calls = [{"id": "a", "function": {"name": "ls", "arguments": '{"p'}}]
    assert loose({"choices": [{"message": {"tool_calls": calls}, "finish_reason": "stop"}]}) is None
    assert of_whole({"content": "so", "tool_calls": calls}, "length")["stop_reason"] == "max_tokens"


WORDS = st.text(st.sampled_from("ab \n<>/think"), max_size=12)
CALL = st.tuples(st.sampled_from(["ls", "Read"]), st.dictionaries(WORDS, WORDS, max_size=2))
REASONS = st.sampled_from(["stop", "length", "content_filter", "tool_calls"])


@settings(deadline=None)  # other work on this machine is no fault
@given(WORDS, WORDS, st.lists(CALL, max_size=3), REASONS, st.data())
def test_any_split_says_what_the_whole_says(
    thought: str, words: str, calls: Sequence[tuple[str, Json]], reason: str, data: st.DataObject
) -> None:
    made = [{"id": f"c{n}", "function": {"name": name, "arguments": json.dumps(given)}}
            for n, (name, given) in enumerate(calls)]  # fmt: skip
    message = {"content": words, "reasoning_content": thought, "tool_calls": made}
    wanted = whole(of_whole(message, reason), "msg_1", "m")
    chunks = [
        *(chunk({"reasoning_content": piece}) for piece in split(thought, data)),
        *(text(piece) for piece in split(words, data)),
        *(part for n, each in enumerate(made) for part in call_pieces(n, each, data)),
        chunk({}, reason),
    ]
    given = sent(chunks)
    if wanted is None:
        assert not given or validate(given, allow_error=True).error
        return
    told = validate(given)
    assert told.content == wanted["content"]
    assert told.stop_reason == wanted["stop_reason"]


def split(words: str, data: st.DataObject) -> list[str]:
    at = sorted(data.draw(st.lists(st.integers(0, len(words)), max_size=3)))
    return [words[a:b] for a, b in zip([0, *at], [*at, len(words)], strict=True)]


def call_pieces(number: int, made: Json, data: st.DataObject) -> list[Json]:
    function = made["function"]
    pieces = [call(piece, index=number) for piece in split(function["arguments"], data)]
    return [call("", function["name"], made["id"], number), *pieces]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "a", "\n", "stop", "{}", "\ud83d"])
)
VALUES = st.recursive(
    SCALARS,
    lambda v: st.lists(v, max_size=2) | st.dictionaries(st.sampled_from(
        ["type", "text", "thinking", "function", "name", "arguments", "id", "index", "message", "code"]),
        v, max_size=3),
    max_leaves=5,
)  # fmt: skip
DELTAS = st.fixed_dictionaries({}, optional=dict.fromkeys(
    ["content", "refusal", "reasoning_content", "thinking_blocks", "reasoning_details", "tool_calls",
     "function_call"], VALUES))  # fmt: skip
CHOICES = st.fixed_dictionaries({}, optional={
    "delta": DELTAS | VALUES, "message": DELTAS | VALUES, "finish_reason": VALUES | REASONS, "error": VALUES,
    "provider_specific_fields": VALUES, "usage": VALUES})  # fmt: skip
CHUNKS = st.fixed_dictionaries({}, optional={
    "choices": VALUES | st.lists(CHOICES, max_size=2), "error": VALUES, "usage": VALUES, "is_finished": VALUES,
    "tool_use": VALUES, "text": VALUES, "finish_reason": VALUES, "done": VALUES, "x_groq": VALUES})  # fmt: skip


@settings(deadline=None)  # other work on this machine is no fault
@given(st.lists(CHUNKS, max_size=5), st.sampled_from(["", "mark"]))
def test_whatever_comes_a_client_can_read_it(chunks: list[Json], mark: str) -> None:
    if given := sent(chunks, own_thinking=mark):
        validate(given, allow_error=True)
    if message := loose(*chunks, own_thinking=mark):
        whole(message, "msg_1", "m")


@pytest.mark.parametrize(
    "member", ["content", "reasoning_content", "refusal"]
)  # fmt: skip
@pytest.mark.parametrize("unit", ["a", " ", "<", "<think>"], ids=repr)
def test_long_answers_are_linear(member: str, unit: str) -> None:
    def make(size: int) -> list[Json]:
        return [chunk({member: unit})] * (size // (len(unit) * 16)) + [STOP]

    def run(chunks: list[Json]) -> None:
        events, stream = ChatEvents(), ProviderStream("msg_1", "m")
        for each in chunks:
            for event in events.feed(each):
                stream.feed(event)
        for event in events.end():
            stream.feed(event)

    assert_linear(run, make)


def test_geminis_signature_of_a_call_stands_in_a_block_of_thinking_before_it() -> None:
    """Clients hand thinking back unchanged, but of a call only id, name and input."""
    call = {"id": "c", "function": {"name": "Read", "arguments": "{}"}}
    signed = {**call, "provider_specific_fields": {"thought_signature": "S"}}
    whole = {"choices": [{"message": {"tool_calls": [signed, call]}, "finish_reason": "stop"}]}
    content = blocks_of(whole, own_thinking="gemini")
    assert [block["type"] for block in content] == ["thinking", "tool_use", "tool_use"]
    assert content[0] == {"type": "thinking", "thinking": "", "signature": "nl1.gemini.S"}
    assert [block["type"] for block in blocks_of(whole)] == ["tool_use", "tool_use"]


def blocks_of(answer: Json, **more: Any) -> list[Json]:
    message = loose(answer, **more)
    assert message
    return list(message["content"])
