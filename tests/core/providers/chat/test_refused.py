from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.providers.chat.refused import lasting, without_refused

Json = dict[str, Any]
SAID: Json = {"role": "assistant", "content": "a"}
THOUGHT: Json = {**SAID, "reasoning_content": "hm"}
USER: Json = {"role": "user", "content": "hi"}
FIELDS: Json = {
    "reasoning_effort": "high", "parallel_tool_calls": False, "tool_choice": "required", "temperature": 0.5,
    "top_p": 0.9, "top_k": 3, "stop": ["x"], "stream_options": {"include_usage": True},
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ('"qwen3-coder" does not support thinking', "reasoning_effort"),
        ("Model grok-4 does not support parameter reasoningEffort.", "reasoning_effort"),
        ("Unrecognized request argument supplied: reasoning_effort", "reasoning_effort"),
        ("deepseek-reasoner does not support this tool_choice", "tool_choice"),
        ("tool_choice 'required' is incompatible with thinking enabled", "reasoning_effort"),
        ("Invalid value for 'parallel_tool_calls'", "parallel_tool_calls"),
        ("Unsupported value: 'temperature' does not support 0.5 with this model.", "temperature"),
        ("Unknown field: top_k", "top_k"),
        ("Unsupported parameter: 'top_p'", "top_p"),
        ("Argument not supported on this model: stop", "stop"),
        ("stream_options: Extra inputs are not permitted", "stream_options"),
    ],
)
def test_what_is_refused_goes(text: str, gone: str) -> None:
    left = {name: value for name, value in FIELDS.items() if name != gone}
    assert without_refused(FIELDS, text) == left
    assert lasting(text)


@pytest.mark.parametrize(
    "text",
    ["prompt is too long", "the temperature of the server is high", "Unsupported image", "", "thinking"],
)  # fmt: skip
def test_what_else_is_refused_stays_refused(text: str) -> None:
    assert without_refused(FIELDS, text) is None


def test_what_is_not_there_can_not_go() -> None:
    assert without_refused({"messages": [USER]}, "does not support thinking") is None


CONTEXT = "This model's maximum context length is 16384 tokens"


@pytest.mark.parametrize(
    "text",
    [
        f"{CONTEXT}. However, you requested 32040 tokens (40 in the messages, 32000 in the completion).",
        f"'max_tokens' or 'max_completion_tokens' is too large: 32000. {CONTEXT} and your request has 40 input tokens",
        "This endpoint's maximum context length is 32768 tokens. However, you requested about 33000 tokens (1000 of"
        " text input, 32000 in the output).",
        "max_tokens is too large: 32000. This model supports at most 16384 completion tokens",
        "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
        "max_tokens for `llama-3.1-8b-instant` must be less than or equal to 8000",
        "The maximum tokens you requested exceeds the model limit of 4096.",
        "it has a maxOutputTokens value of 32000 but the supported range is from 1 (inclusive) to 8193 (exclusive).",
    ],
    ids=["old vLLM", "vLLM", "OpenRouter", "OpenAI", "DeepSeek", "Groq", "Bedrock", "Gemini"],
)
def test_a_limit_that_is_too_high_goes_for_this_request_alone(text: str) -> None:
    assert without_refused({**FIELDS, "max_tokens": 32_000}, text) == FIELDS
    assert not lasting(text)
    assert without_refused({"messages": [USER]}, text) is None


@pytest.mark.parametrize(
    "text",
    [
        f"{CONTEXT}. However, your messages resulted in 20000 tokens.",
        "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000",
        "`max_tokens` must be greater than `thinking.budget_tokens`.",
    ],
    ids=["the prompt itself", "Claude's words, for the client", "too low"],
)
def test_any_other_limit_is_the_clients_matter(text: str) -> None:
    arguments: Json = {"messages": [USER], "max_tokens": 32_000}
    assert without_refused(arguments, text) is None


MISSING = "The `reasoning_content` in the thinking mode must be passed back to the API."
UNWANTED = "The reasoning_content is not allowed in input messages."


@pytest.mark.parametrize(
    ("text", "given", "expected"),
    [
        (MISSING, [USER, SAID, THOUGHT], [USER, {**SAID, "reasoning_content": " "}, THOUGHT]),
        ("Missing `reasoning_content` field in the assistant message", [SAID], [{**SAID, "reasoning_content": " "}]),
        (UNWANTED, [USER, SAID, THOUGHT], [USER, SAID, SAID]),
    ],
    ids=["missing", "missing field", "unwanted"],
)  # fmt: skip
def test_thinking_in_all_messages_or_none(
    text: str, given: list[Json], expected: list[Json]
) -> None:
    assert without_refused({"messages": given}, text) == {"messages": expected}


@pytest.mark.parametrize(("text", "given"), [(MISSING, [THOUGHT]), (UNWANTED, [USER, SAID])])
def test_what_would_be_the_same_is_not_asked_again(text: str, given: list[Json]) -> None:
    assert without_refused({"messages": given}, text) is None


SIGNATURE = "messages.1.content.0: Invalid `signature` in `thinking` block"


@pytest.mark.parametrize(("last", "thinks"), [(USER, True), ({"role": "tool"}, False)])
def test_thinking_whose_signature_is_refused_goes(last: Json, thinks: bool) -> None:
    given = [USER, {**SAID, "thinking_blocks": [{}]}, last]
    left = without_refused({"messages": given, "thinking": {"type": "enabled"}}, SIGNATURE)
    assert left is not None
    assert left["messages"] == [USER, SAID, last]
    assert ("thinking" in left) is thinks
    assert not lasting(SIGNATURE)
    assert without_refused(left, SIGNATURE) is None
