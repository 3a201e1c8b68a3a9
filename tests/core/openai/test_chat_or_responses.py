"""Cursor's requests to the chat path."""

from __future__ import annotations

import json
from typing import Any

import pytest

from neurolink_mitm.core.openai.chat.answer import ChatAnswer
from neurolink_mitm.core.openai.chat_or_responses import chat_or_responses_request
from neurolink_mitm.core.openai.claude import ClaudeTraits
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.translated import Translated

RESPONSES = {
    "model": "gpt-5.5",
    "input": [
        {"role": "system", "content": "be short"},
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "function_call", "call_id": "x", "name": "read", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "x", "output": "1"},
    ],
    "tools": [
        {"type": "function", "name": "read", "parameters": {"type": "object"}},
        {"type": "custom", "name": "apply_patch", "description": "d"},
    ],
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "reasoning": {"effort": "medium", "summary": "auto"},
    "text": {"verbosity": "low"},
    "stream_options": {"include_usage": True},
}
NATIVE = {
    "model": "claude-sonnet-5",
    "tools": [{"name": "read", "description": "d", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "tool", "name": "read"},
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "1"}]},
                {"type": "text", "text": "go on"},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
                },
            ],
        },
    ],
}  # fmt: skip


def translated(body: Any) -> Translated:
    return chat_or_responses_request(json.dumps(body).encode(), lambda model: ClaudeTraits())


def unmarked(value: Any) -> Any:
    """A value without marks of the cache."""
    if isinstance(value, dict):
        return {name: unmarked(each) for name, each in value.items() if name != "cache_control"}
    return [unmarked(each) for each in value] if isinstance(value, list) else value


def test_a_responses_request_gets_its_answer_as_chat() -> None:
    made = translated(RESPONSES)
    assert isinstance(made.answer, ChatAnswer)
    assert (made.answer.model, made.answer.include_usage) == ("gpt-5.5", True)
    assert made.answer.calls.customs == {"apply_patch"}
    assert made.pending is None
    body = json.loads(made.body)
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert [tool["name"] for tool in body["tools"]] == ["read", "apply_patch"]


def test_anthropics_blocks_are_what_they_are() -> None:
    body = unmarked(json.loads(translated(NATIVE).body))
    assert body["tools"] == NATIVE["tools"]
    assert body["tool_choice"] == NATIVE["tool_choice"]
    assert body["messages"] == unmarked(NATIVE["messages"])


SIGNED = {"type": "thinking", "thinking": "hm", "signature": "EqQB"}


@pytest.mark.parametrize(
    ("parts", "kept"),
    [
        ([SIGNED, {"type": "tool_use", "id": "x", "name": "read", "input": {}}], ["thinking", "tool_use"]),
        ([{"type": "text", "text": "a"}, SIGNED], ["text"]),
    ],
    ids=["before a call", "at the end, where Anthropic refuses it"],
)  # fmt: skip
def test_thinking_of_the_assistant(parts: list[Any], kept: list[str]) -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": parts}]
    asked = {"model": "m", "messages": messages, "reasoning_effort": "high"}
    body = json.loads(translated(asked).body)
    assert [block["type"] for block in body["messages"][1]["content"]] == kept


@pytest.mark.parametrize("choice", ["any", "auto", "none"])
def test_anthropics_choices(choice: str) -> None:
    body = json.loads(translated({**NATIVE, "tool_choice": {"type": choice}}).body)
    assert body.get("tool_choice", {"type": "auto"})["type"] == choice


def parts(role: str, *content: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": role, "content": list(content)}]}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "m"}, "messages"),
        ({"model": "m", "input": "a", "messages": 5}, "messages"),
        ({"model": "m", "input": 5}, "input"),
        ({"model": "m", "input": "a", "previous_response_id": "resp_1"}, "previous_response_id"),
        (parts("user", {"type": "tool_result"}), "messages[0].content[0].tool_use_id"),
        (parts("user", {"type": "tool_result", "tool_use_id": 1}), "messages[0].content[0].tool_use_id"),
        (
            parts("user", {"type": "text", "text": '"tool_result"'}, {"type": "tool_result", "is_error": 1}),
            "messages[0].content[1].is_error",
        ),
        (
            parts("user", {"type": "text", "text": "a"}, {"type": "text", "text": 1}, {"type": "tool_result"}),
            "messages[0].content[1].text",
        ),
        (
            parts("assistant", {"type": "tool_use", "id": "x", "name": "f", "input": []}),
            "messages[0].content[0].input",
        ),
        (
            parts("assistant", {"type": "tool_use", "id": "x", "name": "a b", "input": {}}),
            "messages[0].content[0].name",
        ),
        (parts("assistant", {"type": "tool_use", "id": "x"}), "messages[0].content[0].name"),
        (parts("user", {"type": "image"}), "messages[0].content[0].source"),
        (
            parts("user", {"type": "image", "source": {"type": "url", "url": "ftp://x"}}),
            "messages[0].content[0].source.url.image_url",
        ),
        (
            parts("user", {"type": "image", "source": {"type": "base64", "data": "ä"}}),
            "messages[0].content[0].source.data",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(body: Any, param: str) -> None:
    with pytest.raises(RequestError) as refused:
        translated(body)
    assert refused.value.param == param
    assert refused.value.status == 400
