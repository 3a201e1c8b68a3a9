"""Answers of Anthropic's in, responses of OpenAI's out: whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.openai.responses.answer import ResponsesAnswer
from neurolink_mitm.core.openai.responses.body import repeated_members
from neurolink_mitm.core.openai.responses.client_tools import ClientTool
from neurolink_mitm.core.openai.responses.reasoning import thinking_block
from neurolink_mitm.core.openai.responses.stream import ResponsesStream
from tests.core.openai.answers import FOUND, REDACTED, SEARCH, USAGE, events, message, text
from tests.linear import assert_linear
from tests.openai_schema import validate as validate_schema
from tests.responses_stream import Response, validate

Json = dict[str, Any]
Event = tuple[str, Json]

ANSWER = ResponsesAnswer(
    "claude-fable-5",
    repeated_members({"instructions": msgspec.Raw(b'"Be brief."')}),
    {
        "apply_patch": ClientTool("apply_patch", kind="custom"),
        "mcp__find": ClientTool("find", namespace="mcp"),
        "local_shell": ClientTool("local_shell", kind="local_shell"),
        "tool_search": ClientTool("tool_search", kind="tool_search"),
    },
)


def thinking(words: str, signature: str = "sig") -> Json:
    return {"type": "thinking", "thinking": words, "signature": signature}


def call(name: str, arguments: Json, id_: str = "toolu_1") -> Json:
    return {"type": "tool_use", "id": id_, "name": name, "input": arguments}


def events_of(
    content: list[Json], stop: str = "end_turn", size: int = 3, **ending: Any
) -> list[Event]:
    """Return the events by which Anthropic would stream this; `ending` is of the last but one."""
    made = list(events(message(*content, stop_reason=stop), size))
    made[-2][1]["delta"] |= ending
    return made


def streamed(events: Iterable[Event], answer: ResponsesAnswer = ANSWER) -> bytes:
    stream = answer.stream("req_nl_0a1b", 1700000000)
    return _fed(stream, events) + stream.end()


def _fed(stream: ResponsesStream, events: Iterable[Event]) -> bytes:
    return b"".join([stream.event(name, json.dumps(data).encode()) for name, data in events])


def whole(
    content: list[Json], stop: str = "end_turn", answer: ResponsesAnswer = ANSWER, **ending: Any
) -> Json:
    answered = json.dumps(message(*content, stop_reason=stop) | ending).encode()
    body: Json = json.loads(answer.whole(answered, "req_nl_0a1b", 1700000000))
    validate_schema("Response", body)
    return body


def response(content: list[Json], stop: str = "end_turn", **ending: Any) -> Response:
    """Return the response to this content, which is the same streamed and whole."""
    made = validate(streamed(events_of(content, stop, **ending)))
    assert plain(made.body) == plain(whole(content, stop, **ending))
    return made


def plain(body: Json) -> Json:
    """Return a response without what two writers of the same JSON may do differently."""
    for item in body["output"]:
        if "encrypted_content" in item:
            item["encrypted_content"] = json.loads(thinking_block(item["encrypted_content"]) or "0")
        if item.get("arguments") and item["type"] == "function_call":
            item["arguments"] = json.loads(item["arguments"])
    return body


def test_an_answer_of_words() -> None:
    made = response([text("Hello,\n“Ed”! \U0001f600")])
    assert made.names == [
        "response.created", "response.in_progress",
        "response.output_item.added", "response.content_part.added",
        *["response.output_text.delta"] * 5,
        "response.output_text.done", "response.content_part.done", "response.output_item.done",
        "response.completed",
    ]  # fmt: skip
    assert made.body["id"] == "resp_0a1b"
    assert made.body["instructions"] == "Be brief."
    assert made.output == [
        {
            "id": "msg_0a1b0000", "type": "message", "status": "completed", "role": "assistant",
            "content": [
                {"type": "output_text", "text": "Hello,\n“Ed”! \U0001f600", "annotations": [], "logprobs": []}
            ],
        }
    ]  # fmt: skip


def test_usage_counts_what_the_cache_gave() -> None:
    assert response([text("so")]).body["usage"] == {
        "input_tokens": 3210,
        "input_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 3000},
        "output_tokens": 42, "output_tokens_details": {"reasoning_tokens": 7}, "total_tokens": 3252,
    }  # fmt: skip


def test_texts_in_a_row_are_one_message() -> None:
    made = response([text("a"), text(""), text("b"), SEARCH, FOUND, text("c")])
    assert [item["content"][0]["text"] for item in made.output] == ["abc"]


def test_thinking_is_a_summary_and_what_anthropic_wants_back() -> None:
    blocks = [
        thinking("Let me\nsee"),
        REDACTED,
        thinking("", "s2"),
    ]
    made = response([*blocks, thinking("", ""), text("so")])
    assert made.names[2:6] == [
        "response.output_item.added", "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta", "response.reasoning_summary_text.delta",
    ]  # fmt: skip
    items = made.output[:-1]
    assert [item["type"] for item in made.output] == [
        "reasoning",
        "reasoning",
        "reasoning",
        "message",
    ]
    assert [item["encrypted_content"] for item in items] == blocks
    assert [item["summary"] for item in items] == [
        [{"type": "summary_text", "text": "Let me\nsee"}], [], []
    ]  # fmt: skip


def test_calls_have_the_client_s_names_and_upstream_s_ids() -> None:
    made = response(
        [text("so"), call("ls", {"path": "é"}, "toolu_1"), call("mcp__find", {}, "toolu_2")],
        "tool_use",
    )
    assert made.body["status"] == "completed"
    assert made.output[1:] == [
        {
            "id": "fc_0a1b0001", "type": "function_call", "status": "completed",
            "call_id": "toolu_1", "name": "ls", "arguments": {"path": "é"},
        },
        {
            "id": "fc_0a1b0002", "type": "function_call", "status": "completed",
            "call_id": "toolu_2", "name": "find", "namespace": "mcp", "arguments": {},
        },
    ]  # fmt: skip


def test_a_custom_tool_gets_text() -> None:
    patch = '*** Begin Patch\n+"\U0001f600"\\d\n*** End Patch'
    made = response([call("apply_patch", {"input": patch})], "tool_use")
    assert made.names.count("response.custom_tool_call_input.delta") > 5
    assert made.output == [
        {
            "id": "ctc_0a1b0000", "type": "custom_tool_call", "status": "completed",
            "call_id": "toolu_1", "name": "apply_patch", "input": patch,
        }
    ]  # fmt: skip


def test_openai_s_own_tools_that_the_client_runs() -> None:
    made = response(
        [
            call("local_shell", {"command": ["ls", "-l"], "timeout_ms": 5}, "toolu_1"),
            call("tool_search", {"query": "x"}, "toolu_2"),
            call("local_shell", {"command": "ls"}, "toolu_3"),
        ],
        "tool_use",
    )
    shell, search, unreadable = made.output
    assert shell["type"] == "local_shell_call"
    assert shell["action"]["command"] == ["ls", "-l"]
    assert (search["type"], search["arguments"]) == ("tool_search_call", {"query": "x"})
    assert (unreadable["type"], unreadable["name"]) == ("function_call", "local_shell")


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("max_tokens", "max_output_tokens"),
        ("model_context_window_exceeded", "max_output_tokens"),
        ("refusal", "content_filter"),
    ],
)
def test_an_answer_that_is_broken_off_is_incomplete(stop: str, reason: str) -> None:
    made = response([text("a"), call("ls", {}, "toolu_1"), text("half")], stop)
    assert made.names[-1] == "response.incomplete"
    assert made.body["incomplete_details"] == {"reason": reason}
    assert [item["status"] for item in made.output] == ["completed", "completed", "incomplete"]


def test_half_a_call_is_no_whole_one() -> None:
    """A function's is marked as half. A custom tool's might be run, so that there is none."""
    half = events_of([text("a"), call("ls", {"path": "x"})])[:-4]
    ends = ("message_delta", {"delta": {"stop_reason": "max_tokens"}, "usage": USAGE})
    cut: list[Event] = [ends, ("message_stop", {})]
    made = validate(streamed([*half, *cut]))
    assert made.output[1]["status"] == "incomplete"
    assert made.output[1]["arguments"] == '{"path": "x"'
    custom = events_of([text("a"), call("apply_patch", {"input": "rm -r /tmp/x"})])[:-4]
    made = validate(streamed([*custom, *cut]))
    assert [item["type"] for item in made.output] == ["message"]
    assert "response.custom_tool_call_input.done" not in made.names
    assert whole([call("ls", {})], "max_tokens")["output"][0]["arguments"] == ""


def test_a_refusal_says_why() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "It's “so”."}
    made = response([text("Well")], "refusal", stop_details=details)
    assert made.body["status"] == "incomplete"
    assert made.output[1]["content"] == [{"type": "refusal", "refusal": "It's “so”."}]


@pytest.mark.parametrize("details", [None, "bio", {"explanation": 5}, {"category": "bio"}])
def test_a_refusal_need_not_say_why(details: Any) -> None:
    made = response([text("Well")], "refusal", stop_details=details)
    assert [item["content"][0]["type"] for item in made.output] == ["output_text"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("overloaded_error", "server_error"),
        ("api_error", "server_error"),
        ("rate_limit_error", "rate_limit_exceeded"),
    ],
)
def test_an_error_after_the_start_is_an_event_and_a_failed_response(error: str, code: str) -> None:
    some = events_of([text("a"), text("half")])[:-2]
    cut = ("error", {"type": "error", "error": {"type": error, "message": "it broke"}})
    made = validate(streamed([*some, cut, ("message_stop", {})]))
    assert made.names[-2:] == ["error", "response.failed"]
    assert made.body["error"] == {"code": code, "message": "it broke"}
    assert made.error is not None
    assert (made.error["code"], made.error["error"]["message"]) == (code, "it broke")


@pytest.mark.parametrize("events", [0, 1, 2, 5, -2, -1])
def test_a_stream_that_is_cut_fails(events: int) -> None:
    made = validate(streamed(events_of([text("hello there")])[:events]))
    assert made.body["status"] == "failed"
    assert made.body["error"]["code"] == "server_error"


BLOCKS = st.lists(
    st.builds(text, st.text(max_size=20))
    | st.builds(thinking, st.text(max_size=20), st.sampled_from(["", "c2ln"]))
    | st.builds(
        lambda data: {"type": "redacted_thinking", "data": data}, st.sampled_from(["", "Zm9v"])
    )
    | st.builds(
        call,
        st.sampled_from(["ls", "apply_patch", "local_shell", "tool_search"]),
        st.dictionaries(
            st.sampled_from(["input", "command", "x"]), st.text(max_size=9) | st.integers(0, 9)
        ),
    ),
    max_size=5,
)
STOPS = st.sampled_from(["end_turn", "tool_use", "max_tokens", "refusal", "pause_turn"])


@settings(max_examples=50)
@given(BLOCKS, STOPS, st.integers(1, 30))
def test_any_answer_is_the_same_whole_and_streamed(
    content: list[Json], stop: str, size: int
) -> None:
    made = validate(streamed(events_of(content, stop, size)), by_schema=False)
    assert plain(made.body) == plain(whole(content, stop))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("content_block_start", b'{"index":0}'),
        ("content_block_start", b'{"index":"x","content_block":{"type":"text"}}'),
        ("content_block_start", b'{"index":1,"content_block":{"type":"thinking","thinking":5}}'),
        ("content_block_start", b'{"index":1,"content_block":{"type":"tool_use","name":"x"}}'),
        ("content_block_start", b'{"index":1,"content_block":{"type":"tool_use","name":"x","id":"y","input":5}}'),
        ("content_block_delta", b'{"index":0,"delta":{"type":"text_delta","text":5}}'),
        ("content_block_delta", b'{"index":0,"delta":{"type":"text_delta","text":"\xff"}}'),
        ("content_block_delta", b'{"index":0,"delta":"\\ud83d"}'),
        ("content_block_delta", b"no JSON"),
        ("message_delta", b'{"delta":5}'),
        ("message_delta", b"[" * 2000),
    ],
)  # fmt: skip
def test_an_event_that_is_malformed_ends_the_answer(name: str, data: bytes) -> None:
    stream = ANSWER.stream("req_1", 0)
    before = _fed(stream, events_of([text("hello")])[:-3])
    made = validate(before + stream.event(name, data) + stream.event(name, data))
    assert made.body["status"] == "failed"
    early = ANSWER.stream("req_1", 0)
    assert validate(early.event(name, data) + early.end()).body["status"] == "failed"


def test_what_is_not_of_this_answer_is_left_out() -> None:
    some = events_of([text("hello")])
    other = {"index": 7, "delta": {"text": "x"}}
    strange: list[Event] = [("some_event", {"type": "some_event"}), ("content_block_delta", other)]
    assert validate(streamed([*some[:-3], *strange, *some[-3:]])).text == "hello"


@pytest.mark.parametrize("body", [b"", b"null", b'{"content":5}', b'{"type":"error"}', b"[" * 9999])
def test_what_is_no_message_is_no_response(body: bytes) -> None:
    with pytest.raises(ValueError, match="message"):
        ANSWER.whole(body, "req_1", 0)


def test_a_letter_in_two_halves_is_joined() -> None:
    some = events_of([text("x")])
    halves = ["\ud83d", "\ude00!", "\ud83d?"]
    deltas = [
        ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": half}})
        for half in halves
    ]
    made = validate(streamed([*some[:3], *deltas, *some[-3:]]))
    assert made.text == "\U0001f600!\ufffd?"


JSON = ResponsesAnswer("claude", json=True)


def test_json_that_was_asked_for_in_words_is_kept_to_itself() -> None:
    said = [text('Here it is:\n```json\n{"a": "\U0001f600",}\n```\nThat is it.')]
    made = validate(streamed(events_of(said), JSON))
    assert json.loads(made.text) == {"a": "\U0001f600"}
    assert made.body == whole(said, answer=JSON)
    cut = validate(streamed(events_of([text('{"a": "x')], "max_tokens"), JSON))
    assert (cut.body["status"], cut.text) == ("incomplete", '{"a": "x')
    called = validate(streamed(events_of([text("I look."), call("ls", {})], "tool_use"), JSON))
    assert [item["type"] for item in called.output] == ["function_call"]


@pytest.mark.parametrize("said", ["I can't.", '{"a" 1}', '{"a": 1'])
def test_an_answer_that_is_not_the_json_asked_for_fails(said: str) -> None:
    made = validate(streamed(events_of([text(said)]), JSON))
    assert made.body["status"] == "failed"
    assert "not JSON" in made.body["error"]["message"]
    with pytest.raises(ValueError, match="not JSON"):
        whole([text(said)], answer=JSON)


@pytest.mark.parametrize(
    "block",
    [
        text,
        thinking,
        lambda words: call("ls", {"x": words}),
        lambda words: call("apply_patch", {"input": words}),
    ],
    ids=["text", "thinking", "call", "custom call"],
)
def test_a_long_answer_takes_linear_time(block: Any) -> None:
    def make(size: int) -> list[tuple[str, bytes]]:
        events = events_of([block("word\n" * (size // 5))], size=40)
        return [(name, json.dumps(data).encode()) for name, data in events]

    def answer(events: list[tuple[str, bytes]]) -> None:
        stream = ANSWER.stream("req_1", 0)
        for event in events:
            stream.event(*event)
        assert stream.response

    assert_linear(answer, make)


def test_different_splits_of_a_text_differ_in_deltas_only() -> None:
    made = [validate(streamed(events_of([text("hello there")], size=size))) for size in (1, 4, 11)]
    for a, b in pairwise(made):
        assert a.body == b.body
        assert dict.fromkeys(a.names) == dict.fromkeys(b.names)
