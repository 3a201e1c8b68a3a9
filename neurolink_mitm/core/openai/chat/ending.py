"""The end of an answer in chat's form: why it ended, and what it used."""

from __future__ import annotations

import msgspec

from neurolink_mitm.core.response.usage import TokenUsage

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
"""By stop reason; `tool_use` is not there, since it depends on the form of the calls.
https://platform.claude.com/docs/en/api/handling-stop-reasons"""
JSON_MAY_BE_CUT = frozenset(
    {"max_tokens", "model_context_window_exceeded", "stop_sequence", "refusal"}
)
"""Stop reasons behind which JSON need not be complete."""


def finish_reason(stop_reason: str | None, calls: str) -> str:
    """Return OpenAI's reason. `calls`: that of an answer that calls tools; empty without any.

    A stop reason that is not known is no reason to leave calls out.
    """
    return FINISH_REASONS.get(stop_reason or "", calls or "stop")


class _PromptDetails(msgspec.Struct):
    cached_tokens: int
    cache_write_tokens: int


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: _PromptDetails
    completion_tokens_details: _CompletionDetails


def usage_json(usage: TokenUsage) -> bytes:
    """Return the JSON of OpenAI's usage, in which the prompt includes what is cached; 0 is what was not reported."""
    read, written = usage.cache_read_tokens or 0, usage.cache_creation_tokens or 0
    prompt, completion = (usage.input_tokens or 0) + read + written, usage.output_tokens or 0
    return msgspec.json.encode(
        _Usage(
            prompt,
            completion,
            prompt + completion,
            _PromptDetails(read, written),
            _CompletionDetails(usage.thinking_tokens or 0),
        )
    )
