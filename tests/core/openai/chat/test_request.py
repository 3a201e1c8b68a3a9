from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.openai.chat.calls import CallForm
from neurolink_mitm.core.openai.chat.request import chat_request
from neurolink_mitm.core.openai.claude import claude_traits
from neurolink_mitm.core.openai.errors import UNSUPPORTED, RequestError
from neurolink_mitm.core.openai.translated import Translated
from neurolink_mitm.core.request.body import read_body
from neurolink_mitm.core.request.json_spans import LARGE
from neurolink_mitm.sandbox.history import check_history
from neurolink_mitm.sandbox.messages import parse_messages
from tests.linear import assert_linear, repeated
from tests.lookalikes.anthropic_form import check_messages

MODEL = "claude-sonnet-4-5"
THINKS = "claude-opus-5"
HI = [{"role": "user", "content": "hi"}]
F = {"type": "function", "function": {"name": "f"}}
G = {"type": "function", "function": {"name": "g", "parameters": {"type": "object"}}}


def translated(**members: Any) -> Translated:
    body = {"model": MODEL, "messages": HI, **members}
    return chat_request(json.dumps(body).encode(), claude_traits)


def asked(**members: Any) -> Any:
    return json.loads(translated(**members).body)


def unmarked(value: Any) -> Any:
    """Return the value without marks of the cache."""
    if isinstance(value, dict):
        return {name: unmarked(each) for name, each in value.items() if name != "cache_control"}
    return [unmarked(each) for each in value] if isinstance(value, list) else value


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def call(id_: Any, name: str = "f", arguments: Any = "{}") -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def use(id_: str, name: str = "f", **input_: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": name, "input": input_}


def result(id_: str, *content: Any) -> dict[str, Any]:
    listed = {"content": list(content)} if content else {}
    return {"type": "tool_result", "tool_use_id": id_, **listed}


def allowed(mode: str, *tools: Any) -> dict[str, Any]:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def assistant(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


SIGNED = {"type": "thinking", "thinking": "hm", "signature": "EqQB"}


@pytest.mark.parametrize(
    ("messages", "system", "made"),
    [
        (
            [
                {"role": "system", "content": "a"},
                {"role": "developer", "content": [text("b"), text(" ")]},
                *HI,
                {"role": "system", "content": "c"},
            ],
            [text("a"), text("b"), text("c")],
            [user(text("hi"))],
        ),
        (
            [*HI, {"role": "assistant", "content": "a", "refusal": None}, *HI],
            None,
            [user(text("hi")), assistant(text("a")), user(text("hi"))],
        ),
        (
            [*HI, {"role": "assistant", "content": None, "refusal": "no"}, *HI],
            None,
            [user(text("hi")), assistant(text("no")), user(text("hi"))],
        ),
        (
            [
                *HI,
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [call("x", arguments=' {"a": 1.0}'), call("y", arguments="")],
                },
                {"role": "tool", "tool_call_id": "y", "content": [text("2")]},
                {"role": "tool", "tool_call_id": "x", "content": ""},
            ],
            None,
            [
                user(text("hi")),
                assistant(use("x", a=1.0), use("y")),
                user(result("x"), result("y", text("2"))),
            ],
        ),
        (
            [
                *HI,
                {"role": "assistant", "content": "a", "function_call": {"name": "f", "arguments": "{}"}},
                {"role": "function", "name": "f", "content": "1"},
            ],
            None,
            None,
        ),
        (
            [
                *HI,
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "x", "type": "custom", "custom": {"name": "f", "input": "a\nb"}}],
                },
                {"role": "tool", "tool_call_id": "x", "content": "1"},
            ],
            None,
            [user(text("hi")), assistant(use("x", input="a\nb")), user(result("x", text("1")))],
        ),
        (
            [
                *HI,
                {
                    "role": "assistant",
                    "content": "a",
                    "reasoning_content": "hm",
                    "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "EqQB"}],
                },
                *HI,
            ],
            None,
            [user(text("hi")), assistant(SIGNED, text("a")), user(text("hi"))],
        ),
        (
            [*HI, {"role": "assistant", "content": "a", "thinking_blocks": [SIGNED]}, *HI],
            None,
            [user(text("hi")), assistant(SIGNED, text("a")), user(text("hi"))],
        ),
        (
            [*HI, {"role": "assistant", "content": "", "thinking_blocks": [SIGNED]}, *HI],
            None,
            [user(text("hi"), text("hi"))],
        ),
        ([{"role": "system", "content": "a"}], None, [user(text("a"))]),
        (
            [{"role": "user", "content": None}, {"role": "user", "content": "a", "name": "zoë"}],
            None,
            [user(text("a"))],
        ),
    ],
    ids=[
        "system", "assistant", "refusal", "calls", "function_call", "custom", "details", "blocks", "thinking",
        "instructions",        "null",
    ],
)  # fmt: skip
def test_messages(messages: list[Any], system: Any, made: Any) -> None:
    body = unmarked(asked(messages=messages, model=THINKS))
    assert body.get("system") == system
    if made is None:
        id_ = body["messages"][1]["content"][1]["id"]
        made = [user(text("hi")), assistant(text("a"), use(id_)), user(result(id_, text("1")))]
    assert body["messages"] == made


@pytest.mark.parametrize(
    ("members", "tools", "choice"),
    [
        ({"tools": [F]}, ["f"], None),
        ({"tools": []}, None, None),
        ({"tools": None, "tool_choice": "none"}, None, None),
        ({"tools": [F, G], "tool_choice": "auto"}, ["f", "g"], None),
        ({"tools": [F, G], "tool_choice": "none"}, ["f", "g"], {"type": "none"}),
        ({"tools": [F, G], "tool_choice": "required"}, ["f", "g"], {"type": "any"}),
        ({"tools": [F, G], "tool_choice": G}, ["f", "g"], {"type": "tool", "name": "g"}),
        (
            {"tools": [F, G], "tool_choice": allowed("required", G)},
            ["g"],
            {"type": "any"},
        ),
        (
            {"tools": [F], "parallel_tool_calls": False},
            ["f"],
            {"type": "auto", "disable_parallel_tool_use": True},
        ),
        ({"tools": [F], "parallel_tool_calls": True}, ["f"], None),
        ({"functions": [{"name": "f"}], "function_call": {"name": "f"}}, ["f"],
         {"type": "tool", "name": "f", "disable_parallel_tool_use": True}),
        ({"functions": [{"name": "f"}], "function_call": "none"}, ["f"], {"type": "none"}),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, ["f"], None),
        ({"tools": [{"type": "function", "name": "f"}]}, ["f"], None),
    ],
    ids=str,
)  # fmt: skip
def test_tools(members: dict[str, Any], tools: Any, choice: Any) -> None:
    body = asked(**members)
    assert [tool["name"] for tool in body.get("tools", [])] == (tools or [])
    assert body.get("tool_choice") == choice


@pytest.mark.parametrize(
    ("members", "made"),
    [
        ({}, {"max_tokens": 32_000}),
        ({"stream": None, "stop": None, "temperature": None, "n": 1, "logprobs": False}, {"max_tokens": 32_000}),
        ({"stream": True, "stream_options": {"include_usage": True}}, {"max_tokens": 32_000, "stream": True}),
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 6}, {"max_tokens": 6}),
        ({"stop": "a", "temperature": 0}, {"max_tokens": 32_000, "stop_sequences": ["a"], "temperature": 0}),
        ({"stop": ["a", "\n"], "top_p": 0.5}, {"max_tokens": 32_000, "stop_sequences": ["a"], "top_p": 0.5}),
        (
            {"reasoning_effort": "low"},
            {"max_tokens": 32_000, "thinking": {"type": "enabled", "budget_tokens": 2048}},
        ),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 3000}},
            {"max_tokens": 32_000, "thinking": {"type": "enabled", "budget_tokens": 3000}},
        ),
        ({"thinking": {"type": "disabled"}}, {"max_tokens": 32_000}),
        ({"reasoning": {"enabled": False}}, {"max_tokens": 32_000}),
        (
            {"reasoning": {"max_tokens": 3000}},
            {"max_tokens": 32_000, "thinking": {"type": "enabled", "budget_tokens": 3000}},
        ),
        (
            {"reasoning": {"enabled": True}},
            {"max_tokens": 32_000, "thinking": {"type": "enabled", "budget_tokens": 8192}},
        ),
        ({"response_format": {"type": "text"}}, {"max_tokens": 32_000}),
        (
            {"modalities": ["text"], "logit_bias": {}, "top_logprobs": 0, "audio": None, "seed": 1, "store": True,
             "metadata": {"a": "b"}, "user": "u", "service_tier": "auto", "presence_penalty": 0, "verbosity": "low",
             "frequency_penalty": 0.5, "prediction": {"type": "content", "content": "a"}, "unknown": [1]},
            {"max_tokens": 32_000},
        ),
    ],
    ids=str,
)  # fmt: skip
def test_options(members: dict[str, Any], made: dict[str, Any]) -> None:
    body = asked(**members)
    assert body.pop("model") == MODEL
    assert unmarked(body.pop("messages")) == [user(text("hi"))]
    assert body == made


def test_calls_come_in_the_form_that_the_client_knows() -> None:
    custom = {"type": "custom", "custom": {"name": "c"}}
    made = [
        translated(**members).answer
        for members in ({"tools": [F, custom]}, {"functions": [{"name": "f"}]}, {})
    ]
    assert [each.calls for each in made] == [  # type: ignore[attr-defined]
        CallForm(frozenset({"c"})), CallForm(functions=True), CallForm()
    ]  # fmt: skip


def test_what_is_ignored_is_noted() -> None:
    notes = translated(seed=1, presence_penalty=0, frequency_penalty=0.5).notes
    assert notes == ("frequency_penalty is ignored", "seed is ignored")


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("wanted", "native", "told"),
    [
        ({"type": "json_object"}, False, True),
        ({"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}, True, False),
        ({"type": "json_schema", "json_schema": {"name": "a"}}, False, True),
        ({"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}, False, True),
    ],
)  # fmt: skip
def test_the_form_of_the_answer(wanted: Any, native: bool, told: bool) -> None:
    made = translated(response_format=wanted)
    body = json.loads(made.body)
    assert ("output_config" in body) is native
    assert ("system" in body) is told
    assert made.answer.json is True  # type: ignore[attr-defined]


def message(**members: Any) -> dict[str, Any]:
    return {"messages": [*HI, {"role": "assistant", **members}]}


def tool(**members: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": "f", **members}}]}


WRONG: dict[str, list[dict[str, Any]]] = {
    "model": [{"model": 5}, {"model": None}, {"model": ""}, {"model": "x" * 300}],
    "messages": [{"messages": value} for value in (5, None, {}, [], [{"role": "user", "content": ""}])],
    "messages[0]": [{"messages": [5]}, {"messages": ["a"]}, {"messages": [None]}],
    "messages[0].role": [{"messages": [each]} for each in ({"role": 5}, {"role": "owner"}, {"content": "a"})],
    "messages[0].content": [{"messages": [{"role": role, "content": 5}]} for role in ("user", "system", "assistant")],
    "messages[0].name": [{"messages": [{"role": "user", "content": "a", "name": 5}]}],
    "messages[0].tool_call_id": [
        {"messages": [{"role": "tool", "content": "a", "tool_call_id": id_}]} for id_ in ("x", 5, "", None)
    ],
    "messages[1].tool_calls": [message(tool_calls=5), message(tool_calls={})],
    "messages[1].tool_calls[0]": [message(tool_calls=[5])],
    "messages[1].tool_calls[0].id": [message(tool_calls=[call(5)])],
    "messages[1].tool_calls[0].type": [message(tool_calls=[{**call("x"), "type": kind}]) for kind in ("web", 5)],
    "messages[1].tool_calls[0].function": [
        message(tool_calls=[{**call("x"), "function": value}]) for value in (None, 5)
    ],
    "messages[1].tool_calls[0].function.name": [message(tool_calls=[call("x", name)]) for name in ("", "a b", 5, None)],
    "messages[1].tool_calls[0].function.arguments": [
        message(tool_calls=[call("x", arguments=arguments)])
        for arguments in ('{"a":', "[]", "5", "null", '{"a":NaN}', '{"a":1} b', {"a": 1}, 5, '{"a":' * 99_999)
    ],
    "messages[1].function_call": [message(function_call=5)],
    "messages[1].function_call.arguments": [message(function_call={"name": "f", "arguments": "x"})],
    "messages[1].refusal": [message(refusal=5)],
    "tools": [{"tools": 5}, {"tools": {}}],
    "tools[0]": [{"tools": [5]}],
    "tools[0].type": [{"tools": [{}]}, {"tools": [{"type": 5}]}, {"tools": [{"type": "web_search"}]}],
    "tools[0].function": [{"tools": [{"type": "function"}]}, {"tools": [{"type": "function", "function": 5}]}],
    "tools[0].custom": [{"tools": [{"type": "custom"}]}],
    "tools[0].custom.format": [{"tools": [{"type": "custom", "custom": {"name": "f", "format": 5}}]}],
    "tools[0].function.name": [tool(name=name) for name in (5, None, "", "a.b", "x" * 200)],
    "tools[0].function.description": [tool(description=5)],
    "tools[0].function.parameters": [tool(parameters=value) for value in (5, [], True, "a")],
    "tools[0].function.strict": [tool(strict=5)],
    "tools[1].function.name": [{"tools": [F, {"type": "function", "function": {"name": "f", "description": "a"}}]}],
    "tool_choice": [{"tools": [F], "tool_choice": value} for value in (5, "must", G, [])]
    + [{"tool_choice": "required"}],
    "tool_choice.type": [{"tools": [F], "tool_choice": {"type": "x"}}, {"tools": [F], "tool_choice": {}}],
    "tool_choice.function.name": [
        {"tools": [F], "tool_choice": {"type": "function", "function": value}} for value in (None, {"name": 5})
    ],
    "tool_choice.allowed_tools.mode": [{"tools": [F], "tool_choice": allowed("x")}],
    "functions": [{"functions": 5}],
    "functions[0].name": [{"functions": [{}]}, {"functions": [{"name": "a b"}]}],
    "function_call": [{"function_call": 5}, {"function_call": {"name": "f"}}],
    "max_tokens": [{"max_tokens": value} for value in (0, -1, 1.5, "5", True, [])],
    "max_completion_tokens": [{"max_completion_tokens": 0}],
    "temperature": [{"temperature": "1"}, {"temperature": []}],
    "top_p": [{"top_p": "1"}],
    "stop": [{"stop": 5}],
    "stop[0]": [{"stop": [5]}],
    "stream": [{"stream": "yes"}, {"stream": 1}],
    "stream_options": [{"stream_options": 5}],
    "stream_options.include_usage": [{"stream_options": {"include_usage": "yes"}}],
    "reasoning_effort": [{"reasoning_effort": 5}, {"reasoning_effort": "huge"}, {"reasoning_effort": ""}],
    "reasoning.effort": [{"reasoning": {"effort": "huge"}}],
    "thinking.budget_tokens": [{"thinking": {"type": "enabled", "budget_tokens": 0}}],
    "response_format": [{"response_format": "json"}],
    "response_format.type": [{"response_format": {}}, {"response_format": {"type": "xml"}}],
    "response_format.json_schema": [{"response_format": {"type": "json_schema"}}],
    "response_format.json_schema.schema": [{"response_format": {"type": "json_schema", "json_schema": {"schema": []}}}],
    "parallel_tool_calls": [{"parallel_tool_calls": "no"}],
    "n": [{"n": 0}, {"n": "1"}],
    "user": [{"user": 5}],
    "metadata": [{"metadata": "a"}],
    "prompt_cache_key": [{"prompt_cache_key": 5}],
}  # fmt: skip


def test_an_instruction_of_ours_is_no_message() -> None:
    with pytest.raises(RequestError) as raised:
        translated(
            messages=[{"role": "user", "content": ""}], response_format={"type": "json_object"}
        )
    assert raised.value.param == "messages"


def test_what_is_wrong_is_named() -> None:
    named = {}
    for param, requests in WRONG.items():
        for members in requests:
            with pytest.raises(RequestError) as raised:
                translated(**members)
            assert raised.value.status == 400
            named[json.dumps(members)[:200]] = (raised.value.param, param)
    assert {members: each for members, each in named.items() if each[0] != each[1]} == {}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("top_logprobs", 5),
        ("logit_bias", {"50256": -100}),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("web_search_options", {}),
    ],
)
def test_what_claude_has_not_is_unsupported(member: str, value: Any) -> None:
    with pytest.raises(RequestError) as raised:
        translated(**{member: value})
    assert (raised.value.param, raised.value.code) == (member, UNSUPPORTED)


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'"a"', b"{", b'{"model":"m","messages":[}', b"\xff", b'{"a":' * 200_000],
    ids=lambda body: str(body)[:20],
)
def test_what_is_no_request(body: bytes) -> None:
    with pytest.raises(RequestError):
        chat_request(body, claude_traits)


def conversation(turns: int) -> list[dict[str, Any]]:
    messages = [{"role": "system", "content": "s"}, *HI]
    for number in range(turns):
        messages += [
            {"role": "assistant", "tool_calls": [call(f"call.{number}"), call("again")]},
            {"role": "tool", "tool_call_id": "again", "content": "b"},
            {"role": "tool", "tool_call_id": f"call.{number}", "content": "a"},
            {"role": "user", "content": "go on"},
        ]
    return messages


def test_each_turn_goes_on_where_the_cache_ends() -> None:
    before: list[Any] = []
    for turns in range(4):
        messages = asked(messages=conversation(turns), tools=[F])["messages"]
        assert unmarked(messages)[: len(before)] == unmarked(before)
        marks = [at for at, each in enumerate(messages) if "cache_control" in each["content"][-1]]
        assert marks == [at for at in (2 * turns - 2, 2 * turns) if at >= 0]
        before = messages


def test_the_session_is_that_of_the_first_question() -> None:
    session = translated(messages=conversation(1)).session
    assert session == translated(messages=conversation(3)).session
    assert session != translated(messages=[{"role": "user", "content": "other"}]).session
    assert translated(messages=[{"role": "system", "content": "a"}]).session is None
    assert translated(prompt_cache_key="k").session == "k"
    assert len(translated(prompt_cache_key="k" * 999).session or "") == 256


def test_a_long_request_is_read_like_a_short_one() -> None:
    tools = [
        {"type": "function", "function": {"name": f"f{number}", "description": "x" * 600}}
        for number in range(1000)
    ]
    messages = [{"role": "user", "content": "y" * LARGE}, *conversation(2)]
    body = asked(messages=messages, tools=tools)
    assert len(body["tools"]) == 1000
    assert len(body["messages"]) == 5
    with pytest.raises(RequestError) as raised:
        translated(messages=[*messages, {"role": 5}], tools=tools)
    assert raised.value.param == f"messages[{len(messages)}].role"


UNITS = {
    "texts": b',{"role":"user","content":"a"}',
    "calls": b',{"role":"assistant","tool_calls":[{"id":"x","function":{"name":"f","arguments":"{}"}}]}'
    b',{"role":"tool","tool_call_id":"x","content":"1"}',
    "parts": b',{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":""}]}',
}


@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_reading_is_linear(unit: bytes) -> None:
    start = b'{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"a"}'
    assert_linear(lambda body: chat_request(body, claude_traits), repeated(unit, start, b"]}"))


# Whatever comes


WORDS = st.sampled_from(["", " ", "a", "b \n", "\ud83d", "x" * 80, "\u2003"])
IDS = st.sampled_from(["x", "y", "", "a.b", None])
PARTS = st.sampled_from(
    [
        text("a"),
        text(""),
        {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
        5,
        {"type": "x"},
    ]
)
CONTENTS = st.one_of(st.none(), WORDS, st.lists(PARTS, max_size=2))
CALLS = st.builds(call, IDS, st.sampled_from(["f", "g"]), st.sampled_from(["{}", "", '{"a":1}']))
MESSAGE = st.one_of(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system", "user"]), "content": CONTENTS}
    ),
    st.fixed_dictionaries(
        {"role": st.just("assistant"), "content": CONTENTS},
        optional={"tool_calls": st.lists(CALLS, max_size=2), "thinking_blocks": st.just([SIGNED])},
    ),
)


def answered(id_: Any, content: Any, between: list[Any], words: str) -> list[Any]:
    """Return a call with its result, and what stands between."""
    calls = {"role": "assistant", "content": content, "tool_calls": [call(id_), call("z")]}
    return [calls, *between, {"role": "tool", "tool_call_id": id_, "content": words}]


MESSAGES = st.one_of(
    MESSAGE.map(lambda message: [message]),
    st.tuples(IDS, CONTENTS, st.lists(MESSAGE, max_size=1), WORDS).map(
        lambda drawn: answered(*drawn)
    ),
)
SCHEMA_FORMAT = {"type": "json_schema", "json_schema": {"schema": SCHEMA}}
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "tools": st.sampled_from([[F], [F, G], [], [F, F]]),
        "tool_choice": st.sampled_from(["auto", "required", "none", F, allowed("auto", F)]),
        "reasoning_effort": st.sampled_from(["none", "low", "max"]),
        "max_tokens": st.sampled_from([1, 1025, 10**9]),
        "temperature": st.sampled_from([0, 2, -1, None]),
        "stop": st.sampled_from(["a", ["", "\n"], 5]),
        "response_format": st.sampled_from([{"type": "json_object"}, SCHEMA_FORMAT]),
        "parallel_tool_calls": st.booleans(),
    },
)  # fmt: skip
MODELS = st.sampled_from(
    ["claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-5", "claude-opus-5-5"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["model", "messages", "role"]), inner)
    ),
)


@pytest.mark.parametrize(
    ("model", "beta"), [("claude-opus-4-5", b"effort-2025-11-24"), ("claude-opus-4-6", b"")]
)
def test_the_beta_that_the_model_needs(model: str, beta: bytes) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "x"}]}
    assert chat_request(json.dumps(body).encode(), claude_traits).beta == beta


def accepted_or_refused(body: Any) -> None:
    try:
        made = chat_request(json.dumps(body).encode(), claude_traits)
    except RequestError:
        return
    parse_messages(made.body)
    assert made.messages_request == (read := read_body(made.body))
    assert made.messages_request.index
    assert read.index
    assert not made.messages_request.index.is_judged or read.index.acceptable
    found = unmarked(json.loads(made.body))
    signed = json.dumps(found).replace("EqQB", "aG0=")  # the sandbox's signature of "hm"
    check_history(signed.encode())
    check_messages(found, frozenset({"model"}))


@settings(max_examples=50, deadline=None)
@given(st.lists(MESSAGES, min_size=1, max_size=7), OPTIONS, MODELS)
def test_what_comes_is_accepted_by_anthropic_or_refused(
    messages: list[Any], options: dict[str, Any], model: str
) -> None:
    flat = [message for each in messages for message in each]
    accepted_or_refused({"model": model, "messages": flat, **options})


@settings(max_examples=30, deadline=None)
@given(ANYTHING)
def test_any_json_is_accepted_or_refused(body: Any) -> None:
    accepted_or_refused(body)
