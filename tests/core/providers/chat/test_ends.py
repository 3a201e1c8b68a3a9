from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.providers.chat.ends import (
    FAILED,
    choices,
    failure,
    graver,
    meaning,
    stop_sequence,
    usage,
)

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("reason", "wanted"),
    [("stop", "end_turn"), ("eos", "end_turn"), ("STOP", "end_turn"), ("something_new", "end_turn"),
     ("length", "max_tokens"), ("MAX_TOKENS", "max_tokens"), ("model_length", "max_tokens"),
     ("tool_calls", "tool_use"), ("function_call", "tool_use"),
     ("content_filter", "refusal"), ("SAFETY", "refusal"), ("RECITATION", "refusal"),
     ("PROHIBITED_CONTENT", "refusal"), ("guardrail_intervened", "refusal"), ("sensitive", "refusal"),
     ("MALFORMED_FUNCTION_CALL", FAILED), ("UNEXPECTED_TOOL_CALL", FAILED), ("OTHER", FAILED),
     ("error", FAILED), ("insufficient_system_resource", FAILED), ("abort", FAILED),
     (None, None), ("", None), ("null", None), (7, None), ({}, None)],
)  # fmt: skip
def test_what_a_finish_reason_means(reason: Any, wanted: str | None) -> None:
    assert meaning({"finish_reason": reason}) == wanted


@pytest.mark.parametrize(
    "native",
    [{"native_finish_reason": "MALFORMED_FUNCTION_CALL"},
     {"provider_specific_fields": {"native_finish_reason": "MALFORMED_FUNCTION_CALL"}}],
    ids=["openrouter", "litellm"],
)  # fmt: skip
@pytest.mark.parametrize("reason", ["stop", "content_filter", None])
def test_a_grave_reason_of_the_provider_itself_goes_before(native: Json, reason: Any) -> None:
    assert meaning({"finish_reason": reason, **native}) == FAILED


@pytest.mark.parametrize("native", ["STOP", "end_turn", None, "something_new"])
def test_any_other_does_not(native: Any) -> None:
    assert meaning({"finish_reason": "length", "native_finish_reason": native}) == "max_tokens"
    assert meaning({"finish_reason": None, "native_finish_reason": native}) is None


def test_the_graver_of_two_reasons_counts() -> None:
    assert graver("max_tokens", "end_turn") == graver("end_turn", "max_tokens") == "max_tokens"
    assert graver(None, "end_turn") == "end_turn"
    assert graver(FAILED, "refusal") == FAILED
    assert graver(None, None) is None


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [({"stop_reason": "END"}, "END"), ({"matched_stop": "END"}, "END"), ({"stop_reason": 128009}, None),
     ({"stop_reason": "<|im_end|>"}, None), ({}, None),
     ({"provider_specific_fields": {"stop_sequence": "END"}}, "END")],
    ids=["vllm", "sglang", "a token", "the server's own", "none", "litellm"],
)  # fmt: skip
def test_a_sequence_of_the_request_that_ended_it(choice: Json, wanted: str | None) -> None:
    assert stop_sequence(choice, ["END"]) == wanted


@pytest.mark.parametrize(
    ("chunk", "message", "status"),
    [({"error": {"message": "no", "code": 429}}, "no", 429),
     ({"error": {"message": "no", "code": "503"}}, "no", 503),
     ({"error": {"message": "no", "code": "rate_limited", "status": 429}}, "no", 429),
     ({"error": {"message": "no", "code": "rate_limit_exceeded"}}, "no", 429),
     ({"error": {"message": "no", "code": 0, "type": "context_length_exceeded"}}, "no", 400),
     ({"error": "no"}, "no", None),
     ({"object": "error", "message": "no", "code": 400}, "no", 400),
     ({"type": "error", "error": {"type": "overloaded_error", "message": "no"}}, "no", 503),
     ({"choices": [{"error": {"message": "no", "code": 502}, "finish_reason": "error"}]}, "no", 502),
     ({"error": {"code": 20}}, "", None), ({"error": ["odd"]}, "", None)],
)  # fmt: skip
def test_a_chunk_that_is_an_error(chunk: Json, message: str, status: int | None) -> None:
    assert failure(chunk) == {"type": "error", "error": {"message": message}, "status": status}


@pytest.mark.parametrize(
    "chunk", [{}, {"error": None}, {"choices": [{"delta": {}}]}, {"choices": 7}]
)
def test_a_chunk_that_is_none(chunk: Json) -> None:
    assert failure(chunk) is None


def test_litellms_own_form_of_a_chunk() -> None:
    chunk = {
        "text": "so",
        "is_finished": False,
        "finish_reason": "stop",
        "usage": None,
        "index": 0,
        "tool_use": None,
    }
    assert list(choices(chunk)) == [
        {"delta": {"content": "so", "tool_calls": None}, "finish_reason": None, "provider_specific_fields": None}
    ]  # fmt: skip
    (choice,) = choices({**chunk, "is_finished": True, "tool_use": {"id": "a"}})
    assert (choice["finish_reason"], choice["delta"]["tool_calls"]) == ("stop", [{"id": "a"}])


USAGE: dict[str, tuple[Json, tuple[int, int, int, int]]] = {
    "plain": ({"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}, (9, 2, 0, 0)),
    "read from the cache": ({"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 5}},
                            (4, 2, 5, 0)),
    "deepseek's": ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 5, "prompt_cache_miss_tokens": 4}, (4, 0, 5, 0)),
    "claude's": ({"prompt_tokens": 9, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 3}, (4, 0, 2, 3)),
    "reasoning within": ({"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
                          "completion_tokens_details": {"reasoning_tokens": 3}}, (9, 5, 0, 0)),
    "reasoning beside": ({"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 14,
                          "completion_tokens_details": {"reasoning_tokens": 3}}, (9, 5, 0, 0)),
    "more read than there is": ({"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 5}}, (0, 0, 5, 0)),
    "numbers that are none": ({"prompt_tokens": True, "completion_tokens": -1, "total_tokens": "9"}, (0, 0, 0, 0)),
    "details that are none": ({"prompt_tokens": 9, "prompt_tokens_details": None}, (9, 0, 0, 0)),
}  # fmt: skip


@pytest.mark.parametrize(("told", "wanted"), USAGE.values(), ids=USAGE)
@pytest.mark.parametrize(
    "chunk_of",
    [lambda told: {"usage": told, "choices": []}, lambda told: {"choices": [{"usage": told}]},
     lambda told: {"x_groq": {"usage": told}, "usage": None}],
    ids=["openai", "kimi", "groq"],
)  # fmt: skip
def test_tokens_are_counted_as_anthropic_does(told: Json, wanted: Any, chunk_of: Any) -> None:
    names = (
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
    )
    counted = usage(chunk_of(told))
    assert tuple(counted.get(name, 0) for name in names) == wanted


@pytest.mark.parametrize("chunk", [{}, {"usage": None}, {"usage": 7, "choices": [7, {}]}])
def test_no_tokens_are_told(chunk: Json) -> None:
    assert usage(chunk) == {}
