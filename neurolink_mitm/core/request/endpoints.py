"""The endpoints of Anthropic's API that have rate limits of their own, and the scopes of cooldowns.

The scope of a cooldown is an endpoint and a wildcard of models, `count_tokens:*`. A scope without an endpoint is for
messages: `*`, `claude-opus-*`.
https://platform.claude.com/docs/en/build-with-claude/token-counting#pricing-and-rate-limits
https://platform.claude.com/docs/en/api/rate-limits#message-batches-api
"""

from __future__ import annotations

from fnmatch import fnmatchcase

MESSAGES = "messages"
COUNT_TOKENS = "count_tokens"
EMBEDDINGS = "embeddings"
"""Of other providers: Anthropic has none."""
BATCHES = "batches"
FILES = "files"
OTHER = "other"
ENDPOINTS = (MESSAGES, COUNT_TOKENS, EMBEDDINGS, BATCHES, FILES, OTHER)
"""All endpoints without a name share the cooldowns of `other`."""

_PATHS = {
    "/v1/messages": MESSAGES,
    "/v1/messages/count_tokens": COUNT_TOKENS,
    "/v1/messages/batches": BATCHES,
    "/v1/files": FILES,
}


def endpoint_of(path: str) -> str:
    """Return the endpoint of a request's path; the query does not count."""
    bare = path.partition("?")[0]
    if endpoint := _PATHS.get(bare):
        return endpoint
    below = (name for start, name in _PATHS.items() if bare.startswith(f"{start}/"))
    return next((name for name in below if name != MESSAGES), OTHER)


def is_inference(endpoint: str) -> bool:
    """Tell whether the endpoint is inference: only there does a refused credential concern the whole account."""
    return endpoint in (MESSAGES, COUNT_TOKENS, EMBEDDINGS)


def scope(endpoint: str, models: str) -> str:
    """Return the scope of `models`, a wildcard, at an endpoint."""
    plain = endpoint == MESSAGES and models.partition(":")[0] not in ENDPOINTS
    return models if plain else f"{endpoint}:{models}"


def parts(scope: str) -> tuple[str, str]:
    """Split a scope into its endpoint and its wildcard of models."""
    endpoint, colon, models = scope.partition(":")
    return (endpoint, models) if colon and endpoint in ENDPOINTS else (MESSAGES, scope)


def covers(scope: str, model: str | None, endpoint: str) -> bool:
    """Return whether requests for `model` at `endpoint` are in the scope."""
    at, models = parts(scope)
    if at != endpoint:
        return False
    if models in ("*", model):  # a name with brackets is no wildcard of itself
        return True
    return model is not None and fnmatchcase(model, models)


def described(scope: str) -> str:
    """Return a scope in words, to follow "cooling for"; empty for all messages."""
    endpoint, models = parts(scope)
    named = "" if endpoint == MESSAGES else endpoint
    return " of ".join(each for each in (named, models if models != "*" else "") if each)
