from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.openai.claude import ClaudeTraits, claude_traits
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.responses.answer import ResponsesAnswer
from neurolink_mitm.core.openai.responses.reasoning import encrypted_content
from neurolink_mitm.core.openai.responses.request import responses_request
from neurolink_mitm.core.openai.responses.stored import Memory, Pending
from neurolink_mitm.core.openai.translated import Translated
from neurolink_mitm.core.request.body import read_body
from neurolink_mitm.sandbox.history import check_history, signature_of
from neurolink_mitm.sandbox.messages import parse_messages
from tests.linear import assert_linear
from tests.recorded import recorded

MODEL = "claude-sonnet-4-5"
CODEX = {name: one.body for name, one in recorded("/v1/responses").items() if one.body}


def translated(memory: Memory | None = None, body: Any = None, **members: Any) -> Translated:
    request = {"model": MODEL, "input": "look", **members} if members or body is None else body
    earlier = (memory or Memory()).of("", 0)
    return responses_request(json.dumps(request).encode(), claude_traits, earlier)


def messages_request(memory: Memory | None = None, **members: Any) -> Any:
    return json.loads(translated(memory, **members).body)


def test_the_beta_that_the_model_needs() -> None:
    assert translated(body={"model": "claude-opus-4-5", "input": "x"}).beta == b"effort-2025-11-24"
    assert translated().beta == b""


def accepted(made: Translated) -> None:
    """Check that the sandbox takes a Messages request, and that reading its body would tell nothing else."""
    parse_messages(made.body)
    check_history(made.body)
    read = read_body(made.body)
    assert made.messages_request == read
    assert made.messages_request.index
    assert read.index
    assert not made.messages_request.index.is_judged or read.index.acceptable


def test_a_text_is_a_question_with_the_default_limit() -> None:
    made = messages_request()
    [turn] = made["messages"]
    assert (turn["role"], turn["content"][0]["text"]) == ("user", "look")
    assert (made["model"], made["max_tokens"]) == (MODEL, 32_000)
    assert not {"stream", "thinking", "system", "tools", "temperature"} & set(made)


@pytest.mark.parametrize("name", CODEX)
def test_what_codex_and_continue_send_is_accepted(name: str) -> None:
    made = translated(body={**copy.deepcopy(CODEX[name]), "model": MODEL})
    accepted(made)
    request = json.loads(made.body)
    asked = [tool["name"] for tool in request["tools"]]
    assert len(asked) > 8
    assert "web_search" not in asked
    calls = [
        block["name"]
        for turn in request["messages"]
        for block in turn["content"]
        if block["type"] == "tool_use"
    ]
    assert [name for name in calls if "." in name] == []


def test_instructions_come_before_those_of_the_input() -> None:
    given = [{"role": "developer", "content": "two"}, {"role": "user", "content": "look"}]
    made = messages_request(instructions="one", input=given)
    assert [block["text"] for block in made["system"]] == ["one", "two"]


def test_only_instructions_are_what_is_asked() -> None:
    made = messages_request(input=[{"role": "system", "content": "look"}])
    assert made["messages"][0]["content"][0]["text"] == "look"


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({"stream": True}, {"stream": True}, id="stream"),
        pytest.param({"max_output_tokens": 20}, {"max_tokens": 20}, id="limit"),
        pytest.param(
            {"max_output_tokens": 10**9}, {"max_tokens": 64_000}, id="a limit above the model's"
        ),
        pytest.param({"temperature": 1.7}, {"temperature": 1}, id="temperature"),
        pytest.param({"top_p": 0.5}, {"top_p": 0.5}, id="top_p"),
        pytest.param(
            {"reasoning": {"effort": "high"}},
            {"thinking": {"type": "enabled", "budget_tokens": 16_000}},
            id="effort",
        ),
        pytest.param(
            {"reasoning": {"effort": None, "summary": "auto"}}, {"thinking": None}, id="no effort"
        ),
        pytest.param({"reasoning": {"effort": "none"}}, {"thinking": None}, id="none"),
        pytest.param(
            {"tools": [{"type": "function", "name": "f"}], "tool_choice": "required"},
            {"tool_choice": {"type": "any"}},
            id="required",
        ),
        pytest.param(
            {"tools": [{"type": "function", "name": "f"}], "parallel_tool_calls": False},
            {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
            id="not parallel",
        ),
        pytest.param(
            {
                "tools": [{"type": "function", "name": "f"}],
                "tool_choice": {"type": "function", "name": "f"},
            },
            {"tool_choice": {"type": "tool", "name": "f"}},
            id="forced",
        ),
        pytest.param(
            {"tools": [{"type": "function", "name": "f"}], "tool_choice": "none"},
            {"tool_choice": {"type": "none"}},
            id="no calls",
        ),
    ],
)
def test_options_are_anthropics(members: Any, expected: Any) -> None:
    made = messages_request(**members)
    assert {name: made.get(name) for name in expected} == expected


def test_the_form_of_the_text_is_structured_output() -> None:
    schema = {
        "type": "object",
        "properties": {"x": {"type": "integer"}},
        "required": ["x"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "name": "n", "schema": schema, "strict": True}
    made = messages_request(text={"format": form, "verbosity": "low"})
    assert made["output_config"]["format"]["schema"] == schema
    words = messages_request(text={"format": {"type": "json_object"}})["system"][-1]["text"]
    assert "JSON" in words
    assert "system" not in messages_request(text={"format": {"type": "text"}})
    for kind, wanted in (("json_object", True), ("text", False)):
        answer = translated(text={"format": {"type": kind}}).answer
        assert isinstance(answer, ResponsesAnswer)
        assert answer.json is wanted


def test_what_only_openai_cares_for_is_ignored() -> None:
    plain = messages_request()
    assert plain == messages_request(
        truncation="auto",
        service_tier="priority",
        metadata={"a": "b"},
        prompt_cache_key="k",
        prompt_cache_retention="24h",
        safety_identifier="s",
        user="u",
        store=False,
        include=["reasoning.encrypted_content"],
        max_tool_calls=3,
        stream_options={"include_obfuscation": False},
        background=False,
        conversation=None,
        prompt=None,
        top_logprobs=0,
        client_metadata={"x": 1},
        previous_response_id=None,
        tools=[],
        tool_choice="auto",
        text=None,
    )


def test_the_answer_repeats_what_was_asked() -> None:
    tools = [{"type": "custom", "name": "c"}]
    answer = translated(temperature=0.5, metadata={"a": "b"}, tools=tools, store=True).answer
    assert isinstance(answer, ResponsesAnswer)
    repeated = json.loads(b"{%b}" % answer.repeated.removeprefix(b","))
    asked = {"temperature": 0.5, "metadata": {"a": "b"}, "tools": tools, "store": True}
    assert repeated == repeated | asked
    assert answer.tools["c"].kind == "custom"


def test_tools_that_are_left_out_are_noted() -> None:
    given = [{"role": "user", "content": "look"}, {"type": "web_search_call", "id": "ws"}]
    notes = translated(input=given, tools=[{"type": "web_search"}, {"type": "mcp"}]).notes
    assert len(notes) == 2
    assert "web_search, mcp" in notes[0]
    assert "web_search_call" in notes[1]


def test_the_session_is_the_clients_key_or_the_beginning_of_the_conversation() -> None:
    memory = Memory()
    assert translated(prompt_cache_key="k").session == "k"
    first = translated(memory)
    stored("resp_1", [], first.pending, memory)
    again = [{"role": "user", "content": "look"}, {"role": "assistant", "content": "b"}]
    assert first.session == translated(memory, previous_response_id="resp_1", input="c").session
    assert first.session == translated(input=again).session != translated(input="c").session


# Earlier responses


def stored(id_: str, output: Any, pending: Pending | None, memory: Memory) -> None:
    assert pending
    response = {"id": id_, "output": output}
    assert memory.keep("", pending, json.dumps(response).encode(), 0)


def test_a_conversation_goes_on_by_the_id_of_its_response() -> None:
    memory = Memory()
    thinking = "Let me see."
    block = {"type": "thinking", "thinking": thinking, "signature": signature_of(thinking)}
    first = translated(memory, instructions="old", reasoning={"effort": "low"})
    output = [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [],
            "encrypted_content": encrypted_content(json.dumps(block).encode()),
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "toolu_1",
            "name": "f",
            "arguments": "{}",
            "status": "completed",
        },
    ]
    stored("resp_1", output, first.pending, memory)
    second = translated(
        memory,
        instructions="new",
        previous_response_id="resp_1",
        reasoning={"effort": "low"},
        input=[{"type": "function_call_output", "call_id": "toolu_1", "output": "1"}],
    )
    accepted(second)
    made = json.loads(second.body)
    assert [block["text"] for block in made["system"]] == ["new"], (
        "instructions are not carried over"
    )
    assert [turn["role"] for turn in made["messages"]] == ["user", "assistant", "user"]
    assert made["messages"][1]["content"][0] == block
    assert made["thinking"]["type"] == "enabled"
    assert second.pending
    assert second.pending.previous == "resp_1"
    stored(
        "resp_2",
        [{"role": "assistant", "content": "done", "type": "message", "id": "m"}],
        second.pending,
        memory,
    )
    third = messages_request(memory, previous_response_id="resp_2", input="thanks")
    assert len(third["messages"]) == 5


def test_an_unknown_response_is_a_404() -> None:
    with pytest.raises(RequestError) as e:
        translated(previous_response_id="resp_1")
    error = e.value
    assert (error.status, error.param) == (404, "previous_response_id")
    assert error.code == "previous_response_not_found"


def test_nothing_is_kept_where_the_client_says_so() -> None:
    assert translated(store=False).pending is None
    for members in ({}, {"store": None}, {"store": True}):
        assert translated(**members).pending == Pending(msgspec.Raw(b'"look"'))


def test_kept_is_what_the_input_refers_to() -> None:
    memory = Memory()
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": "b"}
    stored("resp_1", [item], translated(memory).pending, memory)
    given = [{"type": "item_reference", "id": "msg_1"}, {"role": "user", "content": "c"}]
    pending = translated(memory, input=given).pending
    assert pending
    assert json.loads(bytes(pending.input)) == [item, given[1]]


# What is refused


@pytest.mark.parametrize(
    ("members", "param", "code"),
    [
        pytest.param({"model": None}, "model", "invalid_type", id="no model"),
        pytest.param({"model": ""}, "model", "missing_required_parameter", id="empty model"),
        pytest.param({"model": 5}, "model", "invalid_type", id="model is a number"),
        pytest.param({"input": None}, "input", "missing_required_parameter", id="no input"),
        pytest.param({"input": ""}, "input", None, id="empty input"),
        pytest.param({"input": []}, "input", None, id="no items"),
        pytest.param({"input": 5}, "input", "invalid_type", id="input is a number"),
        pytest.param({"input": {}}, "input", "invalid_type", id="input is an object"),
        pytest.param({"instructions": 5}, "instructions", None, id="instructions"),
        pytest.param({"tools": {}}, "tools", "invalid_type", id="tools"),
        pytest.param({"tool_choice": 5}, "tool_choice", "invalid_type", id="tool_choice"),
        pytest.param(
            {"parallel_tool_calls": "yes"}, "parallel_tool_calls", "invalid_type", id="parallel"
        ),
        pytest.param(
            {"max_output_tokens": "many"}, "max_output_tokens", "invalid_type", id="limit"
        ),
        pytest.param(
            {"max_output_tokens": 0}, "max_output_tokens", "integer_below_min_value", id="no tokens"
        ),
        pytest.param(
            {"max_tool_calls": "many"}, "max_tool_calls", "invalid_type", id="max_tool_calls"
        ),
        pytest.param({"temperature": "hot"}, "temperature", "invalid_type", id="temperature"),
        pytest.param({"top_p": []}, "top_p", "invalid_type", id="top_p"),
        pytest.param({"text": "x"}, "text", "invalid_type", id="text"),
        pytest.param({"text": {"format": "json"}}, "text.format", "invalid_type", id="format"),
        pytest.param({"text": {"format": {"type": "xml"}}}, "text.format.type", None, id="form"),
        pytest.param(
            {"text": {"format": {"type": "json_schema", "name": "n"}}},
            "text.format.schema",
            "invalid_type",
            id="no schema",
        ),
        pytest.param(
            {"text": {"format": {"type": "json_schema", "schema": 5}}},
            "text.format.schema",
            "invalid_type",
            id="schema",
        ),
        pytest.param({"text": {"verbosity": "loud"}}, "text.verbosity", None, id="verbosity"),
        pytest.param({"reasoning": 5}, "reasoning", "invalid_type", id="reasoning"),
        pytest.param({"reasoning": {"effort": 5}}, "reasoning.effort", "invalid_type", id="effort"),
        pytest.param(
            {"reasoning": {"effort": "huge"}},
            "reasoning.effort",
            "invalid_value",
            id="unknown effort",
        ),
        pytest.param({"include": "all"}, "include", "invalid_type", id="include"),
        pytest.param({"include": [5]}, "include[0]", "invalid_type", id="included"),
        pytest.param({"truncation": "some"}, "truncation", None, id="truncation"),
        pytest.param({"service_tier": 5}, "service_tier", "invalid_type", id="service_tier"),
        pytest.param({"metadata": {"a": 5}}, "metadata", "invalid_type", id="metadata"),
        pytest.param(
            {"prompt_cache_key": 5}, "prompt_cache_key", "invalid_type", id="prompt_cache_key"
        ),
        pytest.param(
            {"safety_identifier": 5}, "safety_identifier", "invalid_type", id="safety_identifier"
        ),
        pytest.param({"user": 5}, "user", "invalid_type", id="user"),
        pytest.param({"store": "no"}, "store", "invalid_type", id="store"),
        pytest.param({"stream": "yes"}, "stream", "invalid_type", id="stream"),
        pytest.param({"stream_options": 5}, "stream_options", "invalid_type", id="stream_options"),
        pytest.param(
            {"previous_response_id": 5}, "previous_response_id", "invalid_type", id="previous"
        ),
        pytest.param({"background": True}, "background", "unsupported_parameter", id="background"),
        pytest.param({"background": "x"}, "background", "invalid_type", id="background is a text"),
        pytest.param(
            {"conversation": "conv_1"}, "conversation", "unsupported_parameter", id="conversation"
        ),
        pytest.param({"prompt": {"id": "p"}}, "prompt", "unsupported_parameter", id="prompt"),
        pytest.param(
            {"top_logprobs": 3}, "top_logprobs", "unsupported_parameter", id="top_logprobs"
        ),
        pytest.param({"logprobs": True}, "logprobs", "unsupported_parameter", id="log probs"),
        pytest.param({"n": 2}, "n", "unsupported_parameter", id="n"),
        pytest.param({"messages": []}, "messages", "unsupported_parameter", id="chat's messages"),
        pytest.param({"max_tokens": 5}, "max_tokens", "unsupported_parameter", id="chat's limit"),
        pytest.param(
            {"include": ["message.output_text.logprobs"]},
            "include",
            "unsupported_parameter",
            id="logprobs",
        ),
    ],
)
def test_what_is_wrong_is_named(members: Any, param: str, code: str | None) -> None:
    with pytest.raises(RequestError) as e:
        translated(**members)
    assert (e.value.status, e.value.param) == (400, param)
    assert code in (None, e.value.code)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b"5", b"\xff", b"[" * 5000, b'{"model":"\xff"}', b'{"a":1}x'],
)
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError) as e:
        responses_request(body, claude_traits, Memory().of("", 0))
    assert e.value.status == 400


# Whatever comes

FULL: Any = {
    "model": MODEL,
    "instructions": "be",
    "input": [
        {"role": "developer", "content": [{"type": "input_text", "text": "x"}]},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "x"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs",
            "summary": [],
            "encrypted_content": encrypted_content(b'{"type":"redacted_thinking","data":"x"}'),
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "x "}],
        },
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": '{"x":1}'},
        {"type": "custom_tool_call", "call_id": "2", "name": "c", "input": "x"},
        {"type": "local_shell_call", "call_id": "3", "action": {"type": "exec", "command": ["ls"]}},
        {"type": "function_call_output", "call_id": "1", "output": "x"},
        {
            "type": "custom_tool_call_output",
            "call_id": "2",
            "output": [{"type": "input_text", "text": "x"}],
        },
        {"type": "local_shell_call_output", "id": "3", "output": "x"},
        {
            "type": "mcp_call",
            "id": "4",
            "server_label": "s",
            "name": "t",
            "arguments": "{}",
            "output": "x",
        },
        {"type": "web_search_call", "id": "5", "action": {}},
        {"role": "user", "content": "x"},
    ],
    "tools": [
        {
            "type": "function",
            "name": "f",
            "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}},
            "strict": True,
        },
        {
            "type": "custom",
            "name": "c",
            "format": {"type": "grammar", "syntax": "lark", "definition": "x"},
        },
        {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g"}]},
        {"type": "local_shell"},
        {"type": "web_search"},
    ],
    "tool_choice": {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": "f"}],
    },
    "text": {
        "format": {
            "type": "json_schema",
            "name": "n",
            "schema": {"type": "object", "properties": {"x": {"type": "string"}}},
        }
    },
    "reasoning": {"effort": "low", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
    "max_output_tokens": 4000,
    "temperature": 0.3,
    "metadata": {"a": "b"},
    "stream": True,
}
VALUES = st.one_of(
    st.sampled_from(
        [
            None,
            True,
            0,
            -1,
            1.5,
            10**30,
            "",
            " ",
            "x",
            "\u2028",
            "\x00",
            "1",
            [],
            {},
            [None],
            [[]],
            [{}],
            {"type": None},
            {"type": "function"},
        ]
    ),
    st.recursive(
        st.none() | st.text(max_size=4) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "text", "name", "role", "x"]), inner, max_size=3
            )
        ),
        max_leaves=5,
    ),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        yield from places(inner, (*path, key))


PLACES = [path for path in places(FULL) if path and path != ("model",)]


def test_a_full_request_is_accepted() -> None:
    accepted(translated(body=FULL))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3), st.booleans())
def test_whatever_comes_is_accepted_or_refused(
    changes: list[tuple[tuple[Any, ...], Any]], goes: bool
) -> None:
    body = copy.deepcopy(FULL)
    for path, value in changes:
        holder = body
        try:
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = value
            if goes and isinstance(holder, list):
                del holder[path[-1]]
        except (TypeError, KeyError, IndexError):
            continue
    try:
        made = translated(body=body)
    except RequestError:
        return
    accepted(made)
    json.dumps(json.loads(made.body), allow_nan=False)


@settings(max_examples=50, deadline=None)
@given(VALUES.filter(lambda value: value is not None))
def test_any_body_is_accepted_or_refused(body: Any) -> None:
    with pytest.raises(RequestError):
        translated(body=body)


@pytest.mark.parametrize(
    "items",
    [
        pytest.param(
            [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], id="messages"
        ),
        pytest.param(
            [
                {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "1", "output": "x"},
            ],
            id="calls",
        ),
        pytest.param([{"type": "mcp_call", "id": "1", "name": "f", "arguments": "{}"}], id="MCP"),
        pytest.param(
            [{"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}],
            id="calls without output",
        ),
    ],
)
def test_it_is_linear(items: list[Any]) -> None:
    unit = ",".join(map(json.dumps, items))

    def body(size: int) -> bytes:
        given = ",".join([unit] * max(1, size // len(unit)))
        return f'{{"model":"claude-opus-4-6","input":[{given}]}}'.encode()

    earlier = Memory().of("", 0)
    assert_linear(lambda raw: responses_request(raw, lambda _: ClaudeTraits(), earlier), body)


def test_many_tools_are_linear() -> None:
    def body(size: int) -> bytes:
        names = [f"f{n}" for n in range(size // 150)]
        tools = [{"type": "function", "name": name, "strict": True} for name in names]
        calls = [
            {"type": "function_call", "call_id": f"c{name}", "name": f"a.{name}", "arguments": "{}"}
            for name in names
        ]
        choice = {
            "type": "allowed_tools",
            "tools": [{"type": "function", "name": name} for name in names],
        }
        return json.dumps(
            {"model": MODEL, "input": calls, "tools": tools, "tool_choice": choice}
        ).encode()

    earlier = Memory().of("", 0)
    assert_linear(lambda raw: responses_request(raw, claude_traits, earlier), body)
