from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.response.usage import TokenUsage

COUNTS = {
    "input_tokens": 1,
    "output_tokens": 2,
    "cache_creation_input_tokens": 3,
    "cache_read_input_tokens": 4,
}
SEEN = TokenUsage("claude-x", "end_turn", 1, 2, 3, 4)


def seen(*events: tuple[str, Any]) -> TokenUsage:
    usage = TokenUsage()
    for name, data in events:
        usage.see_event(name, json.dumps(data).encode())
    return usage


def test_at_first_nothing_is_known() -> None:
    assert TokenUsage() == TokenUsage(None, None, None, None, None, None)


def test_a_whole_message() -> None:
    usage = TokenUsage()
    message = {"model": "claude-x", "stop_reason": "end_turn", "usage": COUNTS, "content": [{}]}
    usage.see_whole(json.dumps(message).encode())
    assert usage == SEEN


def test_a_stream_tells_the_model_first_and_the_reason_last() -> None:
    start = {"message": {"model": "claude-x", "stop_reason": None, "usage": COUNTS}}
    delta = {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}
    assert seen(("message_start", start), ("message_delta", delta)) == SEEN


def test_speed_and_region_are_told_with_the_counts() -> None:
    usage = seen(
        ("message_start", {"message": {"usage": {**COUNTS, "inference_geo": "us"}}}),
        ("message_delta", {"usage": {"output_tokens": 2, "speed": "fast", "inference_geo": None}}),
    )
    assert (usage.speed, usage.inference_geo) == ("fast", "us")


def test_thinking_is_told_as_a_part_of_the_output() -> None:
    details = {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 7}}
    assert seen(("message_delta", {"usage": details})).thinking_tokens == 7


@pytest.mark.parametrize("odd", [1, True, {}, ["us"]])
def test_odd_words_cost_no_counts(odd: Any) -> None:
    usage = seen(
        ("message_start", {"message": {"usage": {**COUNTS, "speed": odd, "inference_geo": odd}}})
    )
    assert (usage.input_tokens, usage.speed, usage.inference_geo) == (1, None, None)


def test_counts_are_cumulative() -> None:
    """https://platform.claude.com/docs/en/build-with-claude/streaming: not increments."""
    usage = seen(
        ("message_start", {"message": {"usage": {"input_tokens": 5, "output_tokens": 1}}}),
        ("message_delta", {"usage": {"output_tokens": 10}}),
        ("message_delta", {"usage": {"output_tokens": 15}}),
    )
    assert (usage.input_tokens, usage.output_tokens) == (5, 15)


@pytest.mark.parametrize("key", COUNTS)
def test_a_count_of_zero_replaces_what_was_known(key: str) -> None:
    usage = seen(
        ("message_start", {"message": {"usage": COUNTS}}), ("message_delta", {"usage": {key: 0}})
    )
    name = key.replace("_input_tokens", "_tokens")
    assert getattr(usage, name) == 0


@pytest.mark.parametrize(
    "counts", [None, {}, dict.fromkeys(COUNTS)], ids=["null", "empty", "nulls"]
)
def test_what_is_not_told_stays_as_it_was(counts: Any) -> None:
    usage = seen(
        ("message_start", {"message": {"usage": COUNTS}}), ("message_delta", {"usage": counts})
    )
    assert usage == TokenUsage(None, None, 1, 2, 3, 4)


@pytest.mark.parametrize(
    "delta",
    [{}, {"delta": None}, {"delta": {}}, {"delta": {"stop_reason": None, "model": None}}],
    ids=["none", "null", "empty", "nulls"],
)
def test_a_delta_without_news_changes_nothing(delta: Any) -> None:
    start = {"message": {"model": "claude-x", "stop_reason": "end_turn"}}
    usage = seen(("message_start", start), ("message_delta", delta))
    assert (usage.model, usage.stop_reason) == ("claude-x", "end_turn")


@pytest.mark.parametrize(
    "name", ["ping", "content_block_start", "message_stop", "error", "message"]
)
def test_other_events_tell_nothing(name: str) -> None:
    data = {"message": {"model": "m", "usage": COUNTS}, "usage": COUNTS, "delta": {"model": "m"}}
    assert seen((name, data)) == TokenUsage()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no",
        b"[]",
        b'{"message":3,"delta":3,"usage":3,"model":3}',
        b'{"message":{"usage":{"input_tokens":"7"}},"usage":{"input_tokens":"7"}}',
        b'{"message":{"model":"\xff"},"delta":{"model":"\xff"},"model":"\xff"}',
        b'{"x":' + b"[" * 200_000,
    ],
    ids=["empty", "text", "list", "numbers", "text-for-count", "no-utf-8", "deep"],
)
def test_what_can_not_be_read_changes_nothing(data: bytes) -> None:
    usage = TokenUsage("claude-x", "end_turn", 1, 2, 3, 4)
    usage.see_event("message_start", data)
    usage.see_event("message_delta", data)
    usage.see_whole(data)
    assert usage == SEEN


@given(st.sampled_from(["message_start", "message_delta", "x"]), st.binary())
def test_no_bytes_make_it_raise(name: str, data: bytes) -> None:
    usage = TokenUsage()
    usage.see_event(name, data)
    usage.see_whole(data)
    assert usage == TokenUsage()


def test_what_is_cached_for_an_hour_is_told_apart() -> None:
    tiers = {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2}
    counts = COUNTS | {"cache_creation": tiers}
    usage = seen(
        ("message_start", {"message": {"usage": counts}}), ("message_delta", {"usage": COUNTS})
    )
    assert (usage.cache_creation_tokens, usage.cache_creation_1h_tokens) == (3, 2)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_searches_are_counted(stream: bool) -> None:
    counts = {"input_tokens": 10, "server_tool_use": {"web_search_requests": 2}}
    usage = TokenUsage()
    if stream:
        usage = seen(
            ("message_start", {"message": {"usage": COUNTS}}), ("message_delta", {"usage": counts})
        )
    else:
        usage.see_whole(json.dumps({"usage": counts}).encode())
    assert (usage.web_search_requests, usage.input_tokens) == (2, 10)
