"""The APIs that clients speak; in the logs."""

from __future__ import annotations

import enum


class Api(enum.StrEnum):
    """The API of a request. All paths that are not OpenAI's are Anthropic's."""

    ANTHROPIC = "anthropic"
    CHAT = "openai-chat"
    RESPONSES = "openai-responses"
    EMBEDDINGS = "openai-embeddings"
    OPENAI = "openai"  # a path that only OpenAI has, and that is not served
