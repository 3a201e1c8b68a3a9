"""Why an answer in OpenAI's chat form ended, what failed within it, and what it used, in Anthropic's terms."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from neurolink_mitm.core.providers.surrogates import mended

Json = dict[str, Any]

FAILED = "failed"
"""The model or its server gave up: what came is no answer."""
MEANINGS: dict[str, tuple[str, ...]] = {
    # OpenAI, Anthropic, Hugging Face, Cohere, Ollama
    "end_turn": ("stop", "end_turn", "stop_sequence", "eos", "eos_token", "complete", "finish_reason_unspecified"),
    "tool_use": ("tool_calls", "function_call", "tool_use"),
    # https://docs.mistral.ai/api (model_length)
    "max_tokens": ("length", "max_tokens", "model_length", "max_length", "max_output_tokens",
                   "model_context_window_exceeded", "compaction"),
    # https://ai.google.dev/api/generate-content#FinishReason; Bedrock's guardrails; Zhipu
    "refusal": ("content_filter", "content_filtered", "refusal", "safety", "recitation", "language", "blocklist",
                "prohibited_content", "spii", "image_safety", "image_prohibited_content", "image_recitation",
                "model_armor", "guardrail_intervened", "guardrails", "sensitive", "error_toxic"),
    # https://api-docs.deepseek.com/api/create-chat-completion (insufficient_system_resource)
    FAILED: ("error", "network_error", "malformed_function_call", "unexpected_tool_call", "malformed_response",
             "malformed_model_output", "malformed_tool_use", "too_many_tool_calls", "missing_thought_signature",
             "other", "image_other", "no_image", "insufficient_system_resource", "abort", "aborted", "cancelled",
             "load", "unload"),
}  # fmt: skip
"""Finish reasons in lower case, by what they mean to Anthropic's clients; what weighs most comes last."""
_WEIGHT = {meaning: number for number, meaning in enumerate(MEANINGS)}
_MEANING = {reason: meaning for meaning, reasons in MEANINGS.items() for reason in reasons}
_NATIVE = frozenset({FAILED, "refusal"})
"""What the provider's own reason says goes before the reason that OpenRouter or LiteLLM makes of it."""


def meaning(choice: Json) -> str | None:
    """Return what the finish reason of a choice means; None where there is none."""
    given = choice.get("finish_reason")
    reason = given.lower() if isinstance(given, str) else ""
    own = _dict(choice.get("provider_specific_fields")).get("native_finish_reason")
    native = _MEANING.get(str(own or choice.get("native_finish_reason")).lower())
    if reason in ("", "null", "none"):
        return native if native in _NATIVE else None
    return native if native in _NATIVE else _MEANING.get(reason, "end_turn")


def meanings(chunk: Json) -> Iterator[str]:
    """Yield what the finish reasons of a chunk mean."""
    yield from filter(None, map(meaning, choices(chunk)))


def graver(first: str | None, second: str | None) -> str | None:
    """Return the one of two meanings that weighs more: `[DONE]` after `length` is a `stop` to LiteLLM."""
    return max(first, second, key=lambda each: _WEIGHT.get(each or "", -1))


def stop_sequence(choice: Json, sequences: Collection[str]) -> str | None:
    """Return the one of the request's `sequences` that ended the answer, where the server names it.

    vLLM names it `stop_reason`, SGLang `matched_stop`; both give numbers of tokens there, too.
    """
    own = _dict(choice.get("provider_specific_fields"))
    named = (choice.get("stop_reason"), choice.get("matched_stop"), own.get("stop_sequence"))
    return next((each for each in named if isinstance(each, str) and each in sequences), None)


def failure(chunk: Json) -> Json | None:
    """Return the error event for a chunk that is an error; None for all else."""
    error = chunk.get("error")
    for choice in choices(chunk):
        error = error or choice.get("error")  # OpenRouter's
    if not error and (chunk.get("object") == "error" or chunk.get("type") == "error"):
        error = chunk  # vLLM's
    if not error:
        return None
    told = _dict(error)
    message = told.get("message") or (error if isinstance(error, str) else "")
    codes = (
        told.get("code"),
        told.get("status"),
        told.get("status_code"),
        chunk.get("code"),
        told.get("type"),
    )
    return error_event(str(message), next(filter(None, map(_status, codes)), None))


def error_event(message: str, status: int | None = None) -> Json:
    """Return the event that ends an answer that is none. `status` is the HTTP status that it would have had."""
    return {"type": "error", "error": {"message": mended(message)}, "status": status}


def choices(chunk: Json) -> Iterator[Json]:
    """Yield the choices. LiteLLM's own form of a chunk, from providers without OpenAI's, has one."""
    given = chunk.get("choices")
    if isinstance(given, list):
        yield from (each for each in given if isinstance(each, dict))
    elif "is_finished" in chunk:
        call = chunk.get("tool_use")
        yield {
            "delta": {"content": chunk.get("text"), "tool_calls": [call] if call else None},
            "finish_reason": chunk.get("finish_reason") if chunk.get("is_finished") else None,
            "provider_specific_fields": chunk.get("provider_specific_fields"),
        }


_INPUT = frozenset({"input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"})


def usage(chunk: Json) -> Json:
    """Return the token counts of a chunk in Anthropic's form; empty if it has none.

    Kimi has them in the choice, Groq in a member of its own. Anthropic counts what was read from the cache apart.
    """
    places = [chunk.get("usage"), _dict(chunk.get("x_groq")).get("usage")]
    places += [choice.get("usage") for choice in choices(chunk)]
    told = next((each for each in places if isinstance(each, dict) and each), None)
    if told is None:
        return {}
    details = _dict(told.get("prompt_tokens_details"))
    read = _count(details.get("cached_tokens"), told.get("cache_read_input_tokens"),
                  told.get("prompt_cache_hit_tokens"), told.get("cached_tokens"))  # fmt: skip
    written = _count(told.get("cache_creation_input_tokens"), details.get("cache_creation_tokens"),
                     details.get("cache_write_tokens"))  # fmt: skip
    prompt = _count(told.get("prompt_tokens"))
    # xAI and Gemini's OpenAI-like server leave reasoning out of the completion's tokens, not out of the total
    output = max(_count(told.get("completion_tokens")), _count(told.get("total_tokens")) - prompt)
    counted = {"input_tokens": max(0, prompt - read - written), "output_tokens": max(0, output)}
    cache = {"cache_read_input_tokens": read, "cache_creation_input_tokens": written}
    return counted | {name: n for name, n in cache.items() if n}


def latest(before: Json, counted: Json) -> Json:
    """Return the token counts after those of one more chunk, in which a zero says nothing.

    What was read from the cache belongs to one count of the input; Claude counts input and output in two chunks.
    """
    asked = {name: n for name, n in counted.items() if name != "output_tokens"}
    told = (
        asked if any(asked.values()) else {name: n for name, n in before.items() if name in _INPUT}
    )
    output = counted.get("output_tokens") or before.get("output_tokens")
    return told if output is None else {**told, "output_tokens": output}


def _count(*values: object) -> int:
    """Return the first of the counts that is one and not zero."""
    return next((n for n in values if type(n) is int and n > 0), 0)


_WORDS = {"rate_limit": 429, "insufficient_quota": 429, "overloaded": 503, "context_length": 400,
          "invalid_request": 400, "server_error": 500}  # fmt: skip
"""Statuses by parts of error codes, for errors that come within a stream."""


def _status(code: object) -> int | None:
    if isinstance(code, str):
        found = (status for word, status in _WORDS.items() if word in code)
        code = int(code) if code.isdecimal() and len(code) == 3 else next(found, None)
    return code if type(code) is int and 400 <= code <= 599 else None


def _dict(value: object) -> Json:
    return value if isinstance(value, dict) else {}
