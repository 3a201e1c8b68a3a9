"""Recognizes that a prompt is too long for a model, in each provider's words, and says so in Anthropic's.

Claude Code shortens the conversation at Anthropic's words, and by as much as their numbers say:
`prompt is too long: 210000 tokens > 200000 maximum`.
"""

from __future__ import annotations

import re

ANTHROPICS = re.compile(
    r"prompt is too long: \d+ tokens > \d+ maximum|exceed context limit: \d+", re.I
)
"""What Claude itself says, by way of clouds: it is handed on as it is."""

_WORDINGS = re.compile(
    r"""
    context[ _-](?:length|window|size|limit)      # OpenAI, DeepSeek, OpenRouter, vLLM, LM Studio, llama.cpp, MiniMax
    | maximum\ (?:context|prompt|model)\ length   # Mistral, xAI, vLLM
    | (?:prompt|input|request)\ is\ too\ long     # Bedrock, Anthropic
    | (?:prompt|input)\ too\ long                 # Ollama
    | too\ many\ (?:input\ )?tokens               # Bedrock
    | input\ token\ count                         # Gemini: (9) exceeds the maximum number of tokens allowed (8)
    | exceed\w*\ (?:the\ )?(?:model\ )?(?:token|max\w*\ tokens?)\ limit             # Kimi
    | exceeded\ model\ token\ limit
    | reduce\ the\ length\ of\ the                # Groq, OpenAI
    | request\ too\ large\ for                    # Groq, OpenAI: more than a minute's tokens in one request
    """,
    re.I | re.X,
)
_LIMIT = re.compile(
    r"""
    (?:maximum|limit|allowed|only|available|length\ of|longer\ than)[^0-9]{0,60}(\d{3,9})
    | (\d{3,9})\ (?:tokens?\ )?maximum
    """,
    re.I | re.X,
)
_NUMBER = re.compile(r"(?<![\w.-])\d{3,9}(?![\w.-]*[a-z])", re.I)
STATUSES = frozenset({400, 413, 422, 429, 500})
"""Some servers answer so with 500, and a request that is larger than a minute's limit is a 429."""
_OF_A_MINUTE = re.compile(r"request too large for", re.I)


def too_long(provider: str, status: int, text: str, words: str) -> str | None:
    """Return the message for a prompt that is too long; None for any other error.

    `text` is searched; `words` are those of the provider that may be shown.
    """
    if status not in STATUSES or not _WORDINGS.search(text):
        return None
    if status == 429 and not _OF_A_MINUTE.search(text):
        return None
    if ANTHROPICS.search(words):
        return words
    shown = f"{provider}: {words}" if words else provider
    if numbers := _numbers(text):
        return f"prompt is too long: {numbers[0]} tokens > {numbers[1]} maximum ({shown})"
    return f"prompt is too long for {shown}"


def _numbers(text: str) -> tuple[int, int] | None:
    """Return the tokens of the prompt and the model's limit, where the text tells both."""
    found = _LIMIT.search(text)
    limit = int(found[1] or found[2]) if found else 0
    most = max((int(number) for number in _NUMBER.findall(text)), default=0)
    return (most, limit) if most > limit > 0 else None
