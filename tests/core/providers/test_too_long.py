from __future__ import annotations

import re

import pytest

from neurolink_mitm.core.providers.too_long import too_long
from tests.linear import assert_linear, repeated

CLAUDE_CODES = re.compile(r"prompt is too long[^0-9]*(\d+)\s*tokens?\s*>\s*(\d+)", re.IGNORECASE)
"""By which Claude Code 2.1.197 reads the numbers."""

WORDS = {
    "openai": (
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 150000 tokens.",
        (150000, 128000),
    ),
    "gemini": (
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        (1200000, 1048576),
    ),
    "mistral": (
        "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
        (40000, 32768),
    ),
    "kimi": (
        "Invalid request: Your request exceeded model token limit: 262144 (requested: 300000)",
        (300000, 262144),
    ),
    "xai": (
        "This model's maximum prompt length is 131072 but the request contains 150000 tokens.",
        (150000, 131072),
    ),
    "deepseek": (
        "This model's maximum context length is 65536 tokens. However, you requested 70000 tokens"
        " (66000 in the messages, 4000 in the completion).",
        (70000, 65536),
    ),
    "vllm": (
        "The decoder prompt (length 9000) is longer than the maximum model length of 8192.",
        (9000, 8192),
    ),
    "lm studio": (
        "Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with"
        " context length of only 4096 tokens, which is not enough",
        (9000, 4096),
    ),
    "llama.cpp": (
        "request (9000 tokens) exceeds the available context size (4096 tokens), try increasing it",
        (9000, 4096),
    ),
    "groq": (
        "Request too large for model `llama-3.3-70b` in organization `org_01` on tokens per minute (TPM):"
        " Limit 6000, Requested 9000, please reduce your message size",
        (9000, 6000),
    ),
    "claude": ("prompt is too long: 210000 tokens > 200000 maximum", (210000, 200000)),
    "ollama": ("prompt too long; exceeded max context length by 300 tokens", None),
    "bedrock": ("Input is too long for requested model.", None),
    "minimax": ("context window exceeds limit (2013)", None),
    "openai, responses": ("Your input exceeds the context window of this model.", None),
}


@pytest.mark.parametrize(("words", "numbers"), WORDS.values(), ids=WORDS)
@pytest.mark.parametrize("status", [400, 413])
def test_claude_code_can_read_it(words: str, numbers: tuple[int, int] | None, status: int) -> None:
    message = too_long("x", status, words, words)
    assert message
    assert message.startswith("prompt is too long")
    assert words in message
    found = CLAUDE_CODES.search(message)
    assert (found and (int(found[1]), int(found[2]))) == numbers


def test_what_claude_says_of_the_answers_length_is_handed_on() -> None:
    words = "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"
    assert too_long("bedrock", 400, words, words) == words


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, WORDS["openai"][0]),
        (429, "Rate limit reached: context length of all requests, Limit 6000, Used 5999"),
        (400, "Invalid schema for function 'Read'"),
        (400, ""),
    ],
    ids=["refused", "limited", "a fault", "nothing"],
)
def test_other_errors_are_others(status: int, words: str) -> None:
    assert too_long("x", status, words, words) is None


def test_more_than_a_minutes_tokens_in_one_request_never_fit() -> None:
    assert too_long("groq", 429, WORDS["groq"][0], "")


@pytest.mark.parametrize("unit", ["maximum ", "1234567890", "limit 12 ", "a", "999 "])
def test_it_is_linear(unit: str) -> None:
    assert_linear(lambda text: too_long("x", 400, "context length" + text, ""), repeated(unit))
