from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.providers.chat.request import chat_request
from neurolink_mitm.core.providers.traits import Traits, traits

Json = dict[str, Any]
USER: Json = {"role": "user", "content": [{"type": "text", "text": "hi"}]}
SCHEMA: Json = {"type": "object", "properties": {"path": {"type": "string"}}}
READ: Json = {"name": "Read", "description": "Reads.", "input_schema": SCHEMA}


CLAUDE = traits("bedrock", "anthropic.claude-sonnet-4-5-v1:0")


def written(model: Traits | None = None, /, **fields: Any) -> Json:
    arguments = chat_request({"messages": [USER], **fields}, model or Traits())
    assert arguments.pop("messages") == [{"role": "user", "content": "hi"}]
    return arguments


def test_nothing_is_asked_for_that_the_client_did_not_ask_for() -> None:
    assert written() == {}


def test_fields_with_other_names() -> None:
    fields = written(max_tokens=9, temperature=0.5, top_p=0.9, stop_sequences=["HALT"])
    assert fields == {"max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": ["HALT"]}


def test_no_stop_sequences_are_no_field() -> None:
    assert written(stop_sequences=[]) == {}


def test_a_stream_tells_its_usage() -> None:
    assert written(stream=True) == {"stream": True, "stream_options": {"include_usage": True}}
    assert written(stream=False) == {}


def test_tools() -> None:
    function = {"name": "Read", "description": "Reads.", "parameters": SCHEMA}
    assert written(tools=[READ]) == {"tools": [{"type": "function", "function": function}]}


def test_a_tool_without_a_schema_has_no_parameters() -> None:
    """Gemini refuses objects without properties."""
    (tool,) = written(tools=[{"name": "Now"}])["tools"]
    assert tool["function"] == {"name": "Now"}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, "auto"), ({"type": "any"}, "required"), ({"type": "none"}, "none"),
        ({"type": "tool", "name": "Read"}, {"type": "function", "function": {"name": "Read"}}),
        ({"type": "of tomorrow"}, None), (None, None), ("auto", None),
    ],
    ids=["auto", "any", "none", "one", "unknown", "null", "no object"],
)  # fmt: skip
def test_the_choice_of_a_tool(choice: Any, expected: Any) -> None:
    assert written(tools=[READ], tool_choice=choice).get("tool_choice") == expected


def test_a_choice_without_tools_is_left_out() -> None:
    assert written(tool_choice={"type": "auto", "disable_parallel_tool_use": True}) == {}


def test_one_call_at_a_time() -> None:
    fields = written(tools=[READ], tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    assert fields["parallel_tool_calls"] is False


def test_an_effort() -> None:
    fields = written(thinking={"type": "adaptive"}, output_config={"effort": "high"})
    assert fields == {"reasoning_effort": "high"}


def test_thinking_without_an_effort() -> None:
    assert written(thinking={"type": "adaptive"}) == {"reasoning_effort": "medium"}


def test_a_model_that_does_not_think_is_asked_for_no_effort() -> None:
    assert written(Traits(reasons=False), thinking={"type": "adaptive"}) == {}


BUDGET: Json = {"type": "enabled", "budget_tokens": 2000}
ADAPTIVE: Json = {"type": "adaptive"}
HIGH: Json = {"effort": "high"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"thinking": BUDGET}, {"thinking": BUDGET}),
        ({"thinking": BUDGET, "output_config": HIGH}, {"thinking": BUDGET}),
        ({"thinking": ADAPTIVE}, {"thinking": ADAPTIVE}),
        ({"thinking": ADAPTIVE, "output_config": HIGH}, {"thinking": ADAPTIVE}),
    ],
    ids=["budget", "budget and effort", "adaptive", "effort"],
)
def test_claudes_thinking_stays_as_it_is(fields: Json, expected: Json) -> None:
    assert written(CLAUDE, **fields) == expected


def in_a_round(*blocks: Json) -> list[Json]:
    use = {"type": "tool_use", "id": "c", "name": "Read", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "c", "content": "so"}
    said = {"role": "assistant", "content": [*blocks, use]}
    return [USER, said, {"role": "user", "content": [result]}]


def test_claude_does_not_think_in_a_round_of_tools_that_began_without() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "x"}
    for blocks, thinks in (((), False), ((thought,), True)):
        request = {"messages": in_a_round(*blocks), "thinking": BUDGET}
        assert ("thinking" in chat_request(request, CLAUDE)) is thinks


def test_what_is_worth_caching_is_marked_at_the_system_prompt_and_the_end() -> None:
    mark = {"type": "ephemeral"}
    request = {"messages": in_a_round(), "system": "be good", "cache_control": mark}
    messages = chat_request(request, CLAUDE)["messages"]
    assert messages[0]["content"] == [{"type": "text", "text": "be good", "cache_control": mark}]
    assert [each.get("cache_control") for each in messages[1:]] == [None, None, mark]


def wanted(schema: Any) -> Json:
    form = {"type": "json_schema", "schema": schema}
    return written(output_config={"format": form}).get("response_format", {})


CLOSED: Json = {**SCHEMA, "required": ["path"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        (SCHEMA, False),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "properties": {"path": CLOSED}}, True),
        ({**CLOSED, "properties": {"path": {"type": "array", "items": [SCHEMA]}}}, False),
    ],
    ids=["closed", "open", "optional", "nested", "open within"],
)
def test_the_form_of_an_answer_is_strict_where_that_can_be(schema: Json, strict: bool) -> None:
    form = wanted(schema)
    assert form["type"] == "json_schema"
    assert form["json_schema"]["schema"] == schema
    assert form["json_schema"].get("strict", False) is strict


@pytest.mark.parametrize("schema", [None, "text", []])
def test_a_form_that_is_none_is_left_out(schema: Any) -> None:
    assert wanted(schema) == {}
