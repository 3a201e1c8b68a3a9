from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.providers.adapt import UnsupportedError, adapt
from neurolink_mitm.core.providers.adapt.check import check
from tests.core.providers.adapt.requests import IMAGE, TOOL, TRAITS, USE, USER, Json


def said(*content: Any) -> Json:
    return {"messages": [{"role": "user", "content": list(content)}]}


FAULTS: dict[str, tuple[Json, str]] = {
    "no messages": ({}, "Object missing required field `messages`"),
    "none": ({"messages": []}, "messages: Expected `array` of length >= 1"),
    "null": ({"messages": None}, "messages: "),
    "an object": ({"messages": {}}, "messages: "),
    "a message that is null": ({"messages": [USER, None]}, "messages.1: "),
    "a message that is text": ({"messages": ["hi"]}, "messages.0: "),
    "an unknown role": ({"messages": [{"role": "robot", "content": "hi"}]}, "messages.0.role: "),
    "no role": ({"messages": [{"content": "hi"}]}, "messages.0: "),
    "a number as content": ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content: "),
    "a text as block": (said("hi"), "messages.0.content.0: "),
    "a block without type": (said({"text": "hi"}), "messages.0.content.0.type: "),
    "a type that is none": (said({"type": 1}), "messages.0.content.0.type: "),
    "text that is none": (said({"type": "text", "text": 1}), "messages.0.content.0.text: "),
    "a call without id": (said({**USE, "id": ""}), "messages.0.content.0.id: "),
    "a call without name": (said({"type": "tool_use", "id": "x"}), "messages.0.content.0: "),
    "input that is a list": (said({**USE, "input": []}), "messages.0.content.0.input: "),
    "a result without id": (said({"type": "tool_result"}), "messages.0.content.0: "),
    "a result of numbers": (
        said({"type": "tool_result", "tool_use_id": "t", "content": [1]}),
        "messages.0.content.0.content.0: ",
    ),
    "a picture in a result": (
        said({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image"}]}),
        "messages.0.content.0.content.0: ",
    ),
    "a picture without source": (said({"type": "image"}), "messages.0.content.0: "),
    "a source without type": (said({"type": "image", "source": {}}), "messages.0.content.0.source: "),
    "tools that are an object": ({"messages": [USER], "tools": {}}, "tools: "),
    "a tool that is text": ({"messages": [USER], "tools": ["ls"]}, "tools.0: "),
    "an unknown choice": (
        {"messages": [USER], "tools": [TOOL], "tool_choice": {"type": "all"}},
        "tool_choice.type: ",
    ),
    "a choice that is text": ({"messages": [USER], "tool_choice": "auto"}, "tool_choice: "),
    "no tokens": ({"messages": [USER], "max_tokens": 0}, "max_tokens: "),
    "half a token": ({"messages": [USER], "max_tokens": 0.5}, "max_tokens: "),
    "a text as number": ({"messages": [USER], "temperature": "hot"}, "temperature: "),
    "a text for stops": ({"messages": [USER], "stop_sequences": "x"}, "stop_sequences: "),
    "numbers as stops": ({"messages": [USER], "stop_sequences": [1]}, "stop_sequences.0: "),
    "a system that is an object": ({"messages": [USER], "system": {}}, "system: "),
    "a system block that is text": ({"messages": [USER], "system": ["x"]}, "system.0: "),
    "system text that is none": ({"messages": [USER], "system": [{"type": "text", "text": 1}]}, "system.0.text: "),
    "thinking as text": ({"messages": [USER], "thinking": "much"}, "thinking: "),
    "a form without schema": (
        {"messages": [USER], "output_config": {"format": {"type": "json_schema"}}},
        "output_config.format.schema: ",
    ),
    "a linked image without address": (
        said({"type": "image", "source": {"type": "url", "data": "eA=="}}),
        "messages.0.content.0.source: ",
    ),
    "an image without data in a document": (
        said({"type": "document", "source": {"type": "content", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png"}}]}}),
        "messages.0.content.0.source.content.0.source: ",
    ),
    "a tool without name": ({"messages": [USER], "tools": [{"input_schema": {}}]}, "tools.0.name: "),
    "a schema that is text": (
        {"messages": [USER], "tools": [TOOL, {"name": "mine", "input_schema": "x"}]},
        "tools.1 (mine): input_schema must be",
    ),
    "a schema of a list": (
        {"messages": [USER], "tools": [{"name": "mine", "input_schema": {"type": "array"}}]},
        'tools.0 (mine): input_schema.type must be "object"',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("request_", "words"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_refused_with_its_place(request_: Json, words: str) -> None:
    with pytest.raises(UnsupportedError) as refused:
        adapt(request_, TRAITS)
    assert str(refused.value).startswith(words)


def nested(levels: int) -> Json:
    value: Any = {}
    for _ in range(levels):
        value = [value]
    return {"messages": [{"role": "assistant", "content": [{**USE, "input": {"a": value}}]}, USER]}


def test_what_is_nested_without_end_is_refused() -> None:
    adapt(nested(80), TRAITS)
    for levels in (200, 50_000):
        with pytest.raises(UnsupportedError, match="messages: nested"):
            adapt(nested(levels), TRAITS)


FINE: dict[str, Json] = {
    "text": {"messages": [USER]},
    "a system message": {"messages": [{"role": "system", "content": "be brief"}]},
    "a picture": said(IMAGE),
    "blocks of tomorrow": said({"type": "hologram", "source": 1}, {"type": "text", "text": "x"}),
    "null members": {"messages": [USER], "system": None, "tools": None, "max_tokens": None},
    "members of tomorrow": {"messages": [{**USER, "x": 1}], "x": [1]},
}


@pytest.mark.parametrize("request_", FINE.values(), ids=FINE)
def test_what_has_the_form_passes(request_: Json) -> None:
    check(request_)
