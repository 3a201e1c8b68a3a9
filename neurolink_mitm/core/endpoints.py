"""Which of Anthropic's limits a request counts against: each endpoint has limits of its own.

A cooldown's scope names an endpoint and a wildcard of its models: `count_tokens:*`. Without an endpoint it is of
messages: `*`, `claude-opus-*`.
https://platform.claude.com/docs/en/build-with-claude/token-counting#pricing-and-rate-limits
https://platform.claude.com/docs/en/api/rate-limits#message-batches-api
"""

from __future__ import annotations

MESSAGES = "messages"
COUNT_TOKENS = "count_tokens"
BATCHES = "batches"
FILES = "files"
OTHER = "other"
ENDPOINTS = (MESSAGES, COUNT_TOKENS, BATCHES, FILES, OTHER)
"""All that `other` stands for share their cooldowns."""

_PATHS = {
    "/v1/messages": MESSAGES,
    "/v1/messages/count_tokens": COUNT_TOKENS,
    "/v1/messages/batches": BATCHES,
    "/v1/files": FILES,
}


def endpoint_of(path: str) -> str:
    """The endpoint of a request's target; the query does not count."""
    bare = path.partition("?")[0]
    if found := _PATHS.get(bare):
        return found
    below = (name for start, name in _PATHS.items() if bare.startswith(f"{start}/"))
    return next((name for name in below if name != MESSAGES), OTHER)


def is_inference(endpoint: str) -> bool:
    """Whether a refused credential there says something of the account."""
    return endpoint in (MESSAGES, COUNT_TOKENS)


def scope(endpoint: str, models: str) -> str:
    """The scope of these models, a wildcard, at an endpoint."""
    plain = endpoint == MESSAGES and models.partition(":")[0] not in ENDPOINTS
    return models if plain else f"{endpoint}:{models}"


def parts(scope: str) -> tuple[str, str]:
    """The endpoint and the wildcard of models that a scope names."""
    endpoint, colon, models = scope.partition(":")
    return (endpoint, models) if colon and endpoint in ENDPOINTS else (MESSAGES, scope)


def described(scope: str) -> str:
    """A scope in words, to follow "cooling for"; empty for all messages."""
    endpoint, models = parts(scope)
    named = "" if endpoint == MESSAGES else endpoint
    return " of ".join(each for each in (named, models if models != "*" else "") if each)
