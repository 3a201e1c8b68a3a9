from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.providers.adapt import adapt
from neurolink_mitm.core.providers.responses.request import (
    lasting,
    responses_request,
    without_refused,
)
from neurolink_mitm.core.providers.signatures import reasoning_signature
from neurolink_mitm.core.providers.traits import Traits, traits

Json = dict[str, Any]

GPT_5, GPT_4 = traits("openai", "gpt-5"), traits("openai", "gpt-4o")
USER: Json = {"role": "user", "content": "hi"}
PNG: Json = {"type": "base64", "media_type": "image/png", "data": "eA=="}
TOOL: Json = {
    "name": "ls",
    "description": "Lists.",
    "input_schema": {"type": "object", "properties": {}},
}


def asked(*messages: Json, model: Traits = GPT_5, **fields: Any) -> Json:
    """The arguments for a request of a client's."""
    request = {"messages": list(messages or (USER,)), **fields}
    return responses_request(adapt(request, model).request, model)


def turn(*blocks: Json, role: str = "assistant") -> Json:
    return {"role": role, "content": list(blocks)}


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def use(id_: str = "call_1", **given: Any) -> Json:
    return {"type": "tool_use", "id": id_, "name": "ls", "input": given}


def result(content: Any, id_: str = "call_1") -> Json:
    return {"type": "tool_result", "tool_use_id": id_, "content": content}


def thought(words: str = "", id_: str = "rs_1") -> Json:
    signature = reasoning_signature(id_, "gAAA")
    return {"type": "thinking", "thinking": words, "signature": signature}


def user(*parts: Json) -> Json:
    return {"type": "message", "role": "user", "content": list(parts)}


def said(words: str) -> Json:
    return {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": words}],
    }


def reasoning(*summary: str, id_: str = "rs_1") -> Json:
    parts = [{"type": "summary_text", "text": words} for words in summary]
    return {"type": "reasoning", "id": id_, "summary": parts, "encrypted_content": "gAAA"}


HI = user({"type": "input_text", "text": "hi"})
CALL: Json = {"type": "function_call", "call_id": "call_1", "name": "ls", "arguments": '{"a":1}'}


def output(value: Any) -> Json:
    return {"type": "function_call_output", "call_id": "call_1", "output": value}


IMAGE_PART: Json = {
    "type": "input_image",
    "image_url": "data:image/png;base64,eA==",
    "detail": "auto",
}
ITEMS: dict[str, tuple[list[Json], list[Json]]] = {
    "a text": ([USER], [HI]),
    "a picture": ([turn({"type": "image", "source": PNG}, role="user")], [user(IMAGE_PART)]),
    "a picture by its address": (
        [turn({"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}, role="user")],
        [user({"type": "input_image", "image_url": "https://x.test/a.png", "detail": "auto"})],
    ),
    "a PDF": (
        [turn({"type": "document", "source": {**PNG, "media_type": "application/pdf"}}, role="user")],
        [user({"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,eA=="})],
    ),
    "a call and its result": ([USER, turn(use(a=1)), turn(result("42"), role="user")], [HI, CALL, output("42")]),
    "a result with a picture": (
        [USER, turn(use(a=1)), turn(result([text("see"), {"type": "image", "source": PNG}]), role="user")],
        [HI, CALL, output([{"type": "input_text", "text": "see"}, IMAGE_PART])],
    ),
    "an empty result": ([USER, turn(use(a=1)), turn(result(""), role="user")], [HI, CALL, output("")]),
    "words before a result": (
        [USER, turn(use(a=1)), turn(text("hi"), result("42"), role="user")], [HI, CALL, output("42"), HI],
    ),
    "text and a call": (
        [USER, turn(text("so"), use(a=1)), turn(result("42"), role="user")], [HI, said("so"), CALL, output("42")],
    ),
    "its own thinking": (
        [USER, turn(thought("hm"), use(a=1)), turn(result("42"), role="user")],
        [HI, reasoning("hm"), CALL, output("42")],
    ),
    "its own thinking without words": ([USER, turn(thought(), text("so")), USER], [HI, reasoning(), said("so"), HI]),
    "thinking that nothing follows": ([USER, turn(text("so"), thought("hm")), USER], [HI, said("so"), HI]),
    "thinking behind thinking": (
        [USER, turn(thought(), thought("hm", "rs_2"), text("so")), USER],
        [HI, reasoning("hm", id_="rs_2"), said("so"), HI],
    ),
    "another's thinking": (
        [USER, turn({"type": "thinking", "thinking": "hm", "signature": "c2ln"}, text("so")), USER],
        [HI, said("so"), HI],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("messages", "items"), ITEMS.values(), ids=ITEMS)
def test_the_conversation(messages: list[Json], items: list[Json]) -> None:
    assert asked(*messages)["input"] == items


CHOICE: Json = {"type": "auto", "disable_parallel_tool_use": True}
THINK: Json = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}
SCHEMA: Json = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
FORMAT: Json = {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}
ENCRYPTED = ["reasoning.encrypted_content"]
FIELDS: dict[str, tuple[Json, Traits, Json]] = {
    "nothing": ({}, GPT_5, {}),
    "a system prompt": ({"system": [text("a"), text("b")]}, GPT_5, {"instructions": "a\n\nb"}),
    "an empty system prompt": ({"system": []}, GPT_5, {}),
    "a limit": ({"max_tokens": 4000}, GPT_5, {"max_output_tokens": 4000}),
    "a limit that is too small": ({"max_tokens": 1}, GPT_5, {"max_output_tokens": 16}),
    "streamed": ({"stream": True}, GPT_5, {"stream": True}),
    "temperature": ({"temperature": 0.5, "top_p": 0.1}, GPT_4, {"temperature": 0.5, "top_p": 0.1}),
    "temperature of a model that thinks": ({"temperature": 0.5, "top_p": 0.1}, GPT_5, {}),
    "fields that it lacks": ({"stop_sequences": ["x"], "top_k": 3, "metadata": {"user_id": "u"}}, GPT_5, {}),
    "thinking": (THINK, GPT_5, {"reasoning": {"effort": "high", "summary": "auto"}, "include": ENCRYPTED}),
    "thinking with a budget": (
        {"thinking": {"type": "enabled", "budget_tokens": 2000}}, GPT_5,
        {"reasoning": {"effort": "low", "summary": "auto"}, "include": ENCRYPTED},
    ),
    "an effort alone": ({"output_config": {"effort": "low"}}, GPT_5, {"reasoning": {"effort": "low"}}),
    "more effort than there is": ({"output_config": {"effort": "max"}}, GPT_5, {"reasoning": {"effort": "high"}}),
    "thinking of a model that does not": (THINK, GPT_4, {}),
    "a form": ({"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}, GPT_5,
               {"text": {"format": FORMAT}}),
    "a loose form": ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}, GPT_5,
                     {"text": {"format": {**FORMAT, "schema": {"type": "object"}, "strict": False}}}),
    "a form of another kind": ({"output_config": {"format": {"type": "grammar"}}}, GPT_5, {}),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "model", "arguments"), FIELDS.values(), ids=FIELDS)
def test_fields(fields: Json, model: Traits, arguments: Json) -> None:
    assert asked(model=model, **fields) == {"input": [HI], "store": False, **arguments}


WRITTEN: Json = {"type": "function", "name": "ls", "description": "Lists.", "strict": False,
                 "parameters": {"type": "object", "properties": {}}}  # fmt: skip
TOOLS: dict[str, tuple[Json, Json]] = {
    "no choice": ({}, {}),
    "auto": ({"type": "auto"}, {}),
    "any": ({"type": "any"}, {"tool_choice": "required"}),
    "none": ({"type": "none"}, {"tool_choice": "none"}),
    "one": ({"type": "tool", "name": "ls"}, {"tool_choice": {"type": "function", "name": "ls"}}),
    "one at a time": (CHOICE, {"tool_choice": "auto", "parallel_tool_calls": False}),
}


@pytest.mark.parametrize(("choice", "arguments"), TOOLS.values(), ids=TOOLS)
def test_tools(choice: Json, arguments: Json) -> None:
    fields = {"tools": [TOOL], **({"tool_choice": choice} if choice else {})}
    assert asked(**fields) == {"input": [HI], "store": False, "tools": [WRITTEN], **arguments}


def test_a_tool_without_schema_takes_nothing() -> None:
    (tool,) = asked(tools=[{"name": "ls"}])["tools"]
    assert tool["parameters"] == {"type": "object", "properties": {}}
    assert "description" not in tool


# What it is asked again without

ALL: Json = {
    "input": [HI, reasoning("hm"), CALL],
    "temperature": 1,
    "include": ENCRYPTED,
    "reasoning": {"effort": "high", "summary": "auto"},
}
VERIFY = "Your organization must be verified to generate reasoning summaries. Please go to: https://x.test"
REFUSED: dict[str, tuple[str, Json]] = {
    "summaries": (VERIFY, {"reasoning": {"effort": "high"}}),
    "encrypted reasoning": ("Encrypted content is not supported with this model.", {"include": None}),
    "reasoning of another": (
        "The encrypted content gAAA...6KFQ could not be verified.", {"input": [HI, CALL]},
    ),
    "reasoning that nothing follows": (
        "Item 'rs_1' of type 'reasoning' was provided without its required following item.", {"input": [HI, CALL]},
    ),
    "reasoning that is not stored": (
        "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false.", {"input": [HI, CALL]},
    ),
    "an effort": ("Unsupported value: 'reasoning.effort' does not support 'xhigh'", {"reasoning": {"summary": "auto"}}),
    "an effort that is named apart": (
        'Unsupported value: \'xhigh\' is not supported with this model.", "param": "reasoning.effort"',
        {"reasoning": {"summary": "auto"}},
    ),
    "effort": ("Unsupported parameter: 'reasoning.effort' is not supported with this model.",
               {"reasoning": {"summary": "auto"}}),
    "a temperature": ("Unsupported parameter: 'temperature' is not supported with this model.", {"temperature": None}),
}  # fmt: skip


@pytest.mark.parametrize(("words", "change"), REFUSED.values(), ids=REFUSED)
def test_what_can_be_left_out_is(words: str, change: Json) -> None:
    left = without_refused(ALL, words)
    assert left == {name: value for name, value in {**ALL, **change}.items() if value is not None}
    assert without_refused(left, words) is None


@pytest.mark.parametrize(
    "words", ["Unknown parameter: 'input'.", "Unsupported parameter: 'tools'", "prompt is too long", ""]
)  # fmt: skip
def test_what_can_not_be_left_out_is_refused(words: str) -> None:
    assert without_refused(ALL, words) is None


def test_nothing_is_left_of_reasoning_that_has_nothing_else() -> None:
    left = without_refused({"input": [], "reasoning": {"summary": "auto"}}, VERIFY)
    assert left == {"input": []}


def test_arguments_are_not_changed_in_place() -> None:
    before = repr(ALL)
    for words, _ in REFUSED.values():
        without_refused(ALL, words)
    assert repr(ALL) == before


@pytest.mark.parametrize(
    ("words", "always"),
    [(VERIFY, True), ("Unsupported parameter: 'temperature'", True), ("Encrypted content is not supported", True),
     ("Unsupported value: 'reasoning.effort' does not support 'xhigh'", False),
     ("The encrypted content gAAA could not be verified.", False)],
)  # fmt: skip
def test_what_is_refused_always(words: str, always: bool) -> None:
    assert lasting(words) is always
