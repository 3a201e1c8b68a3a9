from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.providers.signatures import sign
from neurolink_mitm.core.providers.stream import CUT, ProviderStream, whole
from tests.anthropic_stream import Message, validate

Json = dict[str, Any]

START: Json = {
    "type": "message_start",
    "message": {"usage": {"input_tokens": 3, "output_tokens": 0}},
}
STOP: Json = {"type": "content_block_stop", "index": 0}
OVER: Json = {"type": "message_stop"}
OURS = sign("there", "x")
SO: Json = {"type": "text", "text": "so"}


def begin(kind: str, **members: Any) -> Json:
    return {"type": "content_block_start", "content_block": {"type": kind, **members}}


def text(words: str) -> Json:
    return {"type": "content_block_delta", "delta": {"type": "text_delta", "text": words}}


def thought(words: str) -> Json:
    return {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": words}}


def piece(part: Any) -> Json:
    return {
        "type": "content_block_delta",
        "delta": {"type": "input_json_delta", "partial_json": part},
    }


def ends(reason: Any, **usage: Any) -> Json:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


def call(*parts: str, **members: Any) -> list[Json]:
    named = {"id": "toolu_1", "name": "ls", "input": {}, **members}
    return [begin("tool_use", **named), *map(piece, parts), STOP]


def said(words: str) -> list[Json]:
    return [begin("text", text=""), text(words), STOP]


def stream(**more: Any) -> ProviderStream:
    return ProviderStream("msg_1", "gpt-x", **more)


def fed(*events: Json, **more: Any) -> bytes:
    """All that is given for these events."""
    taking = stream(**more)
    return b"".join(taking.feed(event) for event in events)


def message(*events: Json, **more: Any) -> Message:
    return validate(fed(START, *events, OVER, **more))


def test_words() -> None:
    told = message(*said("Hello"), ends("end_turn", input_tokens=7, output_tokens=2))
    assert (told.text, told.stop_reason, told.model, told.id) == (
        "Hello",
        "end_turn",
        "gpt-x",
        "msg_1",
    )
    assert (told.usage["input_tokens"], told.usage["output_tokens"]) == (7, 2)


CASES: dict[str, tuple[list[Json], list[str], str]] = {
    "thinking": ([begin("thinking", thinking=""), thought("hm"), STOP, *said("so")],
                 ["thinking", "text"], "end_turn"),
    "an empty block": ([begin("text", text=""), STOP, *said("so")], ["text"], "end_turn"),
    "empty thinking": ([begin("thinking", thinking=""), thought(""), STOP, *said("so")],
                       ["text"], "end_turn"),
    "an empty block before a call": ([begin("text", text=""), STOP, *call("{}")],
                                     ["tool_use"], "tool_use"),
    "words in the start": ([begin("text", text="so"), STOP], ["text"], "end_turn"),
    "blocks that are not closed": ([begin("text"), text("a"), begin("text"), text("b")],
                                   ["text", "text"], "end_turn"),
    "a block of another kind": ([begin("compaction", content="x"), STOP, *said("so")],
                                ["text"], "end_turn"),
    "two calls": ([*call('{"a"', ": 1}"), *call("{}", id="toolu_2")],
                  ["tool_use", "tool_use"], "tool_use"),
    "input in the start": (call(input={"a": 1}), ["tool_use"], "tool_use"),
    "a call without a reason": (call("{}"), ["tool_use"], "tool_use"),
}  # fmt: skip


@pytest.mark.parametrize(("events", "kinds", "reason"), CASES.values(), ids=CASES)
def test_what_comes_is_put_right(events: list[Json], kinds: list[str], reason: str) -> None:
    told = message(*events, ends("end_turn"))
    assert [block["type"] for block in told.content] == kinds
    assert told.stop_reason == reason


@pytest.mark.parametrize(
    "broken", ['{"a": 1}{"a": 2}', '{"a": ', "[1]", "no", '"text"', "[" * 100_000]
)  # fmt: skip
@pytest.mark.parametrize("reason", ["tool_use", "max_tokens"])
def test_a_call_that_can_not_be_read_is_not_run(broken: str, reason: str) -> None:
    """Cut off by the limit of tokens, the rest is an answer; else asking again helps."""
    given = fed(START, *said("so"), *call(broken), ends(reason), OVER)
    told = validate(given, allow_error=True)
    assert [block["type"] for block in told.content] == ["text"]
    limited = reason == "max_tokens"
    assert (told.stop_reason, bool(told.error)) == ("max_tokens" if limited else None, not limited)


def test_an_answer_that_began_and_has_no_content_ends_in_an_error() -> None:
    told = validate(fed(START, {"type": "tool_begins"}, ends("end_turn"), OVER), allow_error=True)
    assert told.error


def test_thinking_that_its_author_has_hidden_is_kept_for_it() -> None:
    block = {"type": "redacted_thinking", "data": OURS}
    told = message(begin("redacted_thinking", data=OURS), STOP, *said("so"))
    assert told.content[0] == block
    found = whole({"content": [block, {"type": "text", "text": "so"}]}, "msg_1", "m")
    assert found
    assert found["content"][0] == block
    assert message(begin("redacted_thinking", data="c2ln"), *said("so")).content[0]["text"] == "so"


def test_thinking_has_no_signature_by_which_it_is_known_as_foreign() -> None:
    assert b'"signature":""' in fed(START, begin("thinking"), thought("hm"))


def test_names_of_tools_are_the_clients() -> None:
    told = message(*call("{}", name="short"), ends("tool_use"), tool_names={"short": "long"})
    assert told.tool_uses[0]["name"] == "long"


def test_a_name_that_a_model_has_made_up_is_one_that_anthropic_takes() -> None:
    assert message(*call("{}", name="functions.ls")).tool_uses[0]["name"] == "functions_ls"


@pytest.mark.parametrize(
    "foreign", ["functions.ls:0", "a b", "ü", "x" * 300, "call_1__thought__AbC+/="]
)
def test_ids_of_tools_are_such_that_anthropic_takes_them(foreign: str) -> None:
    found = {message(*call("{}", id=foreign)).tool_uses[0]["id"] for _ in range(2)}
    assert len(found) == 1, "always the same"
    assert re.fullmatch("[a-zA-Z0-9_-]{1,64}", found.pop())


RANDOM_ID = "call_d5wgY2hPq9sXk0a8Lm3Tz1Bv"


@pytest.mark.parametrize(
    ("given", "history", "stays"),
    [(RANDOM_ID, (), True), (RANDOM_ID, ("toolu_1",), True), (RANDOM_ID, (RANDOM_ID,), False),
     ("functions.ls:0", ("functions.ls:0",), False), ("call_0", (), False), ("", (), False),
     (None, (), False)],
    ids=["random", "beside-another", "taken", "kimi", "counted", "empty", "missing"],
)  # fmt: skip
def test_no_call_has_an_id_of_the_history(
    given: str | None, history: tuple[str, ...], stays: bool
) -> None:
    made = message(*call("{}", id=given), history_ids=history).tool_uses[0]["id"]
    block = {"type": "tool_use", "id": given, "name": "ls", "input": {}}
    told = whole({"content": [block]}, "msg_1", "m", history_ids=history)
    assert told
    assert told["content"][0]["id"] == made
    assert (made == given) == stays
    assert made not in history


def test_a_counted_id_differs_in_each_answer() -> None:
    """The history may have been shortened, and a subagent has another one."""
    content = [{"type": "tool_use", "id": "call_0", "name": "ls", "input": {}}]
    answers = [whole({"content": content}, id_, "m") for id_ in ("msg_1", "msg_2")]
    first, second = (answer["content"][0]["id"] for answer in answers if answer)
    assert first != second


@pytest.mark.parametrize("blank", ["\n\n", " ", "\u3000\t"], ids=repr)
def test_blank_text_is_left_out(blank: str) -> None:
    """Anthropic refuses it in the next turn: text content blocks must contain non-whitespace text."""
    told = message(*said(blank), *call("{}"), ends("tool_use"))
    assert [block["type"] for block in told.content] == ["tool_use"]
    content = [{"type": "text", "text": blank}, {"type": "text", "text": "so"}]
    answer = whole({"content": content}, "msg_1", "m")
    assert answer
    assert answer["content"] == [{"type": "text", "text": "so"}]


def test_white_space_before_a_word_is_kept() -> None:
    events = [begin("text", text="\n"), text("\n"), text("so\n"), text("\n"), STOP]
    assert message(*events).text == "\n\nso\n\n"


@pytest.mark.parametrize(
    "events", [[START], [START, begin("text", text="")], [START, begin("thinking"), thought("")]]
)  # fmt: skip
def test_nothing_is_given_before_there_is_content(events: list[Json]) -> None:
    taking = stream()
    assert b"".join(taking.feed(event) for event in events) == b""
    assert not taking.started


def test_a_call_begins_the_answer_before_its_input_is_known() -> None:
    assert b"message_start" in fed(START, begin("tool_use", id="t", name="n"))


@pytest.mark.parametrize(
    "events", [[], [begin("text"), STOP], [ends("end_turn")]], ids=["", "block", "end"]
)
def test_an_end_without_a_word_is_an_empty_answer(events: list[Json]) -> None:
    taking = stream()
    assert b"".join(taking.feed(event) for event in (START, *events, OVER)) == b""
    assert (taking.done, taking.started) == (True, False)


@pytest.mark.parametrize("reason", ["max_tokens", "refusal"])
def test_unless_there_is_a_reason_for_it(reason: str) -> None:
    assert message(ends(reason)).stop_reason == reason


@pytest.mark.parametrize("end", ["cut", "error"])
def test_an_answer_that_breaks_off_ends_in_an_error(end: str) -> None:
    taking = stream()
    given = b"".join(taking.feed(event) for event in (START, begin("text"), text("a")))
    broken = (
        taking.cut()
        if end == "cut"
        else taking.feed({"type": "error", "error": {"message": "litellm"}})
    )
    told = validate(given + broken, allow_error=True)
    assert told.error == {"type": "overloaded_error", "message": CUT}
    assert taking.feed(text("b")) == b""


def test_what_breaks_off_before_it_began_gives_nothing() -> None:
    taking = stream()
    taking.feed(START)
    assert (taking.cut(), taking.done, taking.started) == (b"", True, False)


def test_ids_that_occur_twice_are_told_apart() -> None:
    """Anthropic refuses them when they come back."""
    first, second = message(*call("{}", id=RANDOM_ID), *call("{}", id=RANDOM_ID)).tool_uses
    assert first["id"] == RANDOM_ID != second["id"]
    block = {"type": "tool_use", "id": "t", "name": "n", "input": {}}
    told = whole({"content": [block, dict(block)]}, "msg_1", "m")
    assert told
    assert len({each["id"] for each in told["content"]}) == 2


def test_the_sequence_that_stopped_it_is_told() -> None:
    stop = {
        "type": "message_delta",
        "delta": {"stop_reason": "stop_sequence", "stop_sequence": "x"},
    }
    told = message(*said("so"), stop)
    assert (told.stop_reason, told.stop_sequence) == ("stop_sequence", "x")
    assert message(*said("so"), ends("stop_sequence")).stop_reason == "end_turn"


class TestWhole:
    def test_only_what_anthropic_knows_is_in_it(self) -> None:
        content = [
            {"type": "thinking", "thinking": "hm", "signature": None, "x": 1},
            {"type": "text", "text": ""},
            {"type": "text", "text": "so", "citations": None},
            {
                "type": "tool_use",
                "id": RANDOM_ID,
                "name": "s",
                "input": {"a": 1},
                "provider_specific_fields": None,
            },
        ]
        told = whole(
            {"content": content, "usage": {"input_tokens": 1}}, "msg_1", "m", {"s": "long"}
        )
        assert told
        assert told["content"] == [
            {"type": "thinking", "thinking": "hm", "signature": ""},
            {"type": "text", "text": "so"},
            {"type": "tool_use", "id": RANDOM_ID, "name": "long", "input": {"a": 1}},
        ]
        assert told["stop_reason"] == "tool_use"
        assert told["usage"] == {"input_tokens": 1, "output_tokens": 0}

    @pytest.mark.parametrize("content", [None, [], "x", [{"type": "text", "text": "\n"}], [1]])
    def test_nothing_said_is_no_answer(self, content: object) -> None:
        assert whole({"content": content, "stop_reason": "end_turn"}, "msg_1", "m") is None

    def test_a_call_that_can_not_be_read(self) -> None:
        content = [{"type": "tool_use", "id": "t", "name": "n", "input": '{"a'}]
        assert whole({"content": content, "stop_reason": "tool_use"}, "msg_1", "m") is None
        told = whole({"content": content, "stop_reason": "max_tokens"}, "msg_1", "m")
        assert told
        assert (told["content"], told["stop_reason"]) == ([], "max_tokens")


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda v: st.lists(v, max_size=2) | st.dictionaries(st.text(max_size=3), v, max_size=2),
    max_leaves=4,
)
KINDS = st.sampled_from(
    ["text", "thinking", "tool_use", "redacted_thinking", "compaction", "", None]
)
WORDS = st.sampled_from(["", "a", "ü\n", "{", "}", '{"a": 1}', "[]", "null"])
BLOCKS = st.fixed_dictionaries(
    {"type": KINDS},
    optional={"text": WORDS | SCALARS, "thinking": WORDS | SCALARS, "id": WORDS | SCALARS,
              "name": st.sampled_from(["ls", "", None, "a.b", "x" * 200]), "input": VALUES},
)  # fmt: skip
DELTAS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text_delta", "thinking_delta", "input_json_delta", "signature_delta", "x"])},
    optional={"text": WORDS | SCALARS, "thinking": WORDS, "partial_json": WORDS | SCALARS},
)  # fmt: skip
ILL = st.dictionaries(
    st.sampled_from(["type", "delta", "message", "usage", "content_block"]), VALUES
)
EVENTS = st.one_of(
    st.just(START), st.just(STOP), st.just(OVER), st.just({"type": "ping"}), st.just({"type": "error"}),
    BLOCKS.map(lambda block: {"type": "content_block_start", "content_block": block}),
    DELTAS.map(lambda delta: {"type": "content_block_delta", "delta": delta}),
    st.builds(ends, WORDS | st.sampled_from(["end_turn", "tool_use", "max_tokens", "stop_sequence"])),
    ILL,
)  # fmt: skip


@settings(deadline=None)  # other work on this machine is no fault
@given(st.lists(EVENTS, max_size=14))
@example([START, begin("text"), text("a"), ends("stop_sequence"), OVER])
@example(
    [begin("tool_use", id="a", name="n"), STOP, begin("tool_use", id="a", name="n"), STOP, OVER]
)
def test_whatever_comes_a_client_can_read_it(events: list[Json]) -> None:
    taking = stream()
    given = b"".join([*map(taking.feed, events), taking.cut()])
    assert bool(given) == taking.started
    assert taking.done
    if given:
        told = validate(given, allow_error=True)
        assert all(isinstance(use["input"], dict) for use in told.tool_uses)


@settings(deadline=None)  # other work on this machine is no fault
@given(
    st.lists(
        st.sampled_from([*call('{"a": [1, ', '"b"]}'), *said("Hello"), START, STOP]), max_size=8
    )
)
def test_what_is_whole_is_told_as_it_was(noise: list[Json]) -> None:
    """Whatever has come before."""
    last = call('{"last": "', 'one"}', id="toolu_9")
    told = validate(fed(*noise, *last, ends("max_tokens"), OVER))
    assert told.tool_uses[-1]["input"] == {"last": "one"}
    json.dumps(told.content)


def signed_with(signature: Any) -> Json:
    delta = {"type": "signature_delta", "signature": signature}
    return {"type": "content_block_delta", "delta": delta}


@pytest.mark.parametrize("words", ["", "hm"])
def test_thinking_keeps_the_signature_that_we_give_it(words: str) -> None:
    thinking = [begin("thinking", thinking=""), thought(words), signed_with(OURS), STOP]
    told = message(*thinking, *said("so"), ends("end_turn"))
    assert told.content[0] == {"type": "thinking", "thinking": words, "signature": OURS}
    content = [{"type": "thinking", "thinking": words, "signature": OURS}, SO]
    found = whole({"content": content}, "msg_1", "gpt-x")
    assert found
    assert found["content"] == content


@pytest.mark.parametrize("other", ["c2ln", "", None, 7])
def test_thinking_has_no_other_signature(other: Any) -> None:
    thinking = [begin("thinking", thinking=""), thought("hm"), signed_with(other), STOP]
    told = message(*thinking, *said("so"), ends("end_turn"))
    assert told.content[0] == {"type": "thinking", "thinking": "hm", "signature": ""}
    content = [{"type": "thinking", "thinking": "hm", "signature": other}, SO]
    found = whole({"content": content}, "msg_1", "gpt-x")
    assert found
    assert found["content"][0]["signature"] == ""


def test_a_stop_sequence_explains_an_answer_without_words() -> None:
    end = {"stop_reason": "stop_sequence", "stop_sequence": "HALT"}
    told = message({"type": "message_delta", "delta": end, "usage": {}})
    assert (told.content, told.stop_sequence) == ([], "HALT")
    found = whole({"content": [], **end}, "msg_1", "gpt-x")
    assert found is not None
    assert found["stop_sequence"] == "HALT"


class TestSignaturesOfCalls:
    """They come in a block of thinking without words before the call."""

    def events(self) -> list[Json]:
        signed = {"type": "signature_delta", "signature": "nl1.gemini.S"}
        block = {"type": "tool_use", "id": "c", "name": "Read", "input": {}}
        return [
            {"type": "content_block_start", "content_block": {"type": "thinking", "thinking": ""}},
            {"type": "content_block_delta", "delta": signed},
            {"type": "content_block_start", "content_block": block},
            {"type": "content_block_stop"},
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
            {"type": "message_stop"},
        ]

    @pytest.mark.parametrize("tells", [True, False])
    def test_they_are_told_where_the_client_wants_thinking(self, tells: bool) -> None:
        stream = ProviderStream("msg_1", "m", tells_signatures=tells)
        message = validate(b"".join(map(stream.feed, self.events())))
        kinds = ["thinking", "tool_use"] if tells else ["tool_use"]
        assert [block["type"] for block in message.content] == kinds
        assert stream.signatures == {message.tool_uses[0]["id"]: "nl1.gemini.S"}


def test_thinking_alone_is_no_answer() -> None:
    """The client would end its turn without a word; asked again, a model says more."""
    thinking = [begin("thinking", thinking=""), thought("hm"), STOP]
    assert validate(fed(START, *thinking, ends("end_turn"), OVER), allow_error=True).error
    assert message(*thinking, ends("max_tokens")).stop_reason == "max_tokens"
    content = [{"type": "thinking", "thinking": "hm"}]
    assert whole({"content": content, "stop_reason": "end_turn"}, "msg_1", "m") is None
