from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.failover.errors import Failure, FailureStage, classify
from neurolink_mitm.core.providers.errors import (
    LONGEST,
    TYPES,
    ProviderError,
    provider_error,
    provider_text,
)
from tests.anthropic_stream import ERROR_TYPES

GEMINI = (
    "litellm.MidStreamFallbackError: litellm.RateLimitError: Vertex_ai_betaException - "
    """b'{"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}'"""
)
TRACEBACK = (
    "litellm.APIConnectionError: Ollama_chatException - Expecting value: line 1\n"
    'Traceback (most recent call last):\n  File "/usr/lib/python3/json/decoder.py", line 1\n'
)
WORDS = {
    "openai": ("litellm.BadRequestError: OpenAIException - No such tool", "No such tool"),
    "gemini": (GEMINI, "Quota exceeded"),
    "ollama": ('litellm.BadRequestError: Ollama_chatException - {"error": "no model"}', "no model"),
    "python's quotes": ("KeyError, Got: {'error': 'busy'}", "busy"),
    "quotes within": (r'{"message": "say \"please\"\nto it"}', 'say "please" to it'),
    "the innermost": ('{"message": "a", "metadata": {"message": "b"}}', "b"),
    "page": ("litellm.BadGatewayError: OpenAIException - <html><h1>502</h1></html>", ""),
    "nothing": ("", ""),
    "LiteLLM's own": ('{"message": "litellm.Timeout: gave up"}', ""),
    "traceback": ('{"message": "Traceback (most recent call last): x"}', ""),
}


@pytest.mark.parametrize(("text", "words"), WORDS.values(), ids=WORDS)
def test_the_providers_own_words_are_found(text: str, words: str) -> None:
    assert provider_text(text) == words


STATUSES = {
    400: (400, "invalid_request_error"),
    401: (403, "permission_error"),
    402: (402, "billing_error"),
    403: (403, "permission_error"),
    404: (400, "not_found_error"),
    408: (408, "timeout_error"),
    413: (413, "request_too_large"),
    422: (422, "invalid_request_error"),
    429: (429, "rate_limit_error"),
    500: (500, "api_error"),
    503: (503, "overloaded_error"),
    529: (529, "overloaded_error"),
    None: (502, "api_error"),
    0: (502, "api_error"),
    200: (502, "api_error"),
    999: (502, "api_error"),
}


@pytest.mark.parametrize(("raised", "told"), STATUSES.items(), ids=map(str, STATUSES))
def test_the_status_is_one_that_the_proxy_knows(raised: int | None, told: tuple[int, str]) -> None:
    error = provider_error("openai", raised, "")
    assert (error.status, error.error_type) == told


def test_an_answer_that_could_not_be_read_is_not_the_requests_fault() -> None:
    text = "GeminiException - Error converting to valid response block=Expecting value"
    assert provider_error("google-ai", 422, text).status == 502


def test_the_time_to_wait_is_kept() -> None:
    assert provider_error("openai", 429, GEMINI, "7") == ProviderError(
        429, "openai limits requests at the moment: Quota exceeded", "7"
    )


def test_claude_code_understands_that_a_conversation_is_too_long() -> None:
    text = '{"message": "The input token count (900) exceeds the maximum number of tokens allowed (800)"}'
    assert provider_error("google-ai", 413, text) == ProviderError(
        400,
        "prompt is too long: 900 tokens > 800 maximum (google-ai: The input token count (900) exceeds"
        " the maximum number of tokens allowed (800))",
        mendable=True,
    )


@pytest.mark.parametrize(
    ("status", "words", "mendable"),
    [(413, "", True), (400, "Invalid image data", True), (422, "no PDF, please", True),
     (400, "Invalid schema for function 'image_gen'", False), (403, "no images", False)],
    ids=["too large", "image", "pdf", "a tool's name", "refused"],
)  # fmt: skip
def test_what_the_user_or_the_client_can_mend(status: int, words: str, mendable: bool) -> None:
    assert provider_error("openai", status, f'{{"message": "{words}"}}').mendable is mendable


def test_every_type_is_one_of_anthropics() -> None:
    assert set(TYPES.values()) <= ERROR_TYPES


def test_a_refused_key_cools_the_fallback_down_and_asks_the_next() -> None:
    error = provider_error("openai", 401, "")
    failure = Failure(FailureStage.STATUS, error.status, error.error_type, error.message)
    assert classify(failure).name == "refused credential"


REFUSED = [
    (401, "Bad key", 403, "permission_error",
     "openai/gpt-5 refused the key (check OPENAI_API_KEY in the environment or .env, or providers.openai.apiKey):"
     " Bad key"),
    (429, "insufficient_quota", 402, "billing_error",
     "openai/gpt-5 wants to be paid first (top up its account, or ask another): insufficient_quota"),
    (404, "The model `gpt-5` does not exist", 400, "not_found_error",
     "openai/gpt-5 does not know this model (name another in proxy-config.yaml, or check providers.openai.baseUrl):"
     " The model `gpt-5` does not exist"),
    (404, "Item with id 'rs_1' not found.", 400, "invalid_request_error",
     "openai/gpt-5 refused the request: Item with id 'rs_1' not found."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("raised", "words", "status", "kind", "message"), REFUSED,
    ids=["key", "money", "model", "the request's own 404"],
)  # fmt: skip
def test_what_is_refused_of_the_entry_is_told_in_one_sentence_with_the_remedy(
    raised: int, words: str, status: int, kind: str, message: str
) -> None:
    error = provider_error("openai/gpt-5", raised, f'{{"message": "{words}"}}')
    assert (error.status, error.error_type, error.message) == (status, kind, message)
    assert not error.mendable


@pytest.mark.parametrize("status", [400, 404])
def test_an_unknown_model_cools_the_entry_down_and_is_no_404_of_claude_codes(status: int) -> None:
    error = provider_error("deepseek/x", status, '{"message": "Model Not Exist"}')
    failure = Failure(FailureStage.STATUS, error.status, error.error_type, error.message)
    assert classify(failure).name == "unknown model"
    assert error.status != 404


@settings(deadline=None)  # other work on this machine is no fault
@given(st.text(), st.sampled_from([None, 400, 401, 413, 429, 500]))
def test_nothing_of_ours_or_of_litellms_is_in_a_message(noise: str, status: int | None) -> None:
    key = "sk-proj-" + "a1B2" * 8
    raised = f'{TRACEBACK}{noise}{{"message": "Incorrect API key: {key}"}} /home/me/litellm/x.py'
    for text in (raised, TRACEBACK + noise, f"litellm.BadRequestError: {noise}"):
        message = provider_error("openai", status, text).message
        assert "litellm" not in message.lower()
        assert "Traceback" not in message
        assert key not in message
        assert len(message) < LONGEST + 150
