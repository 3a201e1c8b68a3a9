"""xAI's `/v1/chat/completions`: https://docs.x.ai/docs/api-reference#chat-completions and reports."""

from __future__ import annotations

import re
from typing import Any

from tests.lookalikes.chat_dialect import PARTS, Dialect, Habits
from tests.lookalikes.chat_server import ChatServer
from tests.lookalikes.script import Json
from tests.lookalikes.server import Refused

_TAKES_EFFORT = ("grok-3-mini", "grok-4.20-multi-agent", "grok-4.3")
"""https://github.com/NousResearch/hermes-agent/pull/23435"""
_UNTHINKING = ("non-reasoning", "grok-2")
_NOT_FOR_THINKERS = {
    "stop": "stop",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
"""https://docs.x.ai/docs/guides/reasoning, https://github.com/huggingface/smolagents/pull/1766"""
_MEMBERS = frozenset(
    {"role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content", "refusal"}
)


def _error(status: int, message: str, **detail: Any) -> Json:
    codes = {400: "Client specified an invalid argument", 429: "Some resource has been exhausted"}
    return {"code": codes.get(status, "The service is currently unavailable"), "error": message}


def _check_model(dialect: Dialect, body: Json) -> None:
    model = body["model"]
    if not any(name in model for name in _UNTHINKING):
        for field, word in _NOT_FOR_THINKERS.items():
            if body.get(field) is not None:
                raise Refused(400, f"Argument not supported on this model: {word}")
    if body.get("reasoning_effort") and not any(name in model for name in _TAKES_EFFORT):
        raise Refused(400, f"Model {model} does not support parameter reasoningEffort.")


def _check_contents(dialect: Dialect, body: Json) -> None:
    """https://github.com/langchain-ai/langchain/issues/34140: also beside calls, where "" is enough."""
    for message in body["messages"]:
        if message.get("content") is None:
            said = "Invalid request content: Each message must have at least one content element."
            raise Refused(400, said)


def _check_images(dialect: Dialect, body: Json) -> None:
    """https://docs.x.ai/docs/guides/image-understanding: jpg/jpeg and png."""
    for message in body["messages"]:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            url = (part.get("image_url") or {}).get("url", "")
            if url.startswith("data:") and not re.match(r"data:image/(png|jpe?g);", url):
                raise Refused(400, "Unsupported image format. Use JPEG or PNG.")


class XAI(ChatServer):
    """Its ids come again each turn: `call_0`."""

    dialect = Dialect(
        messages=dict.fromkeys(("system", "developer", "user", "assistant", "tool"), _MEMBERS),
        parts={**PARTS, "user": ("text", "image_url", "file"), "tool": ("text", "image_url")},
        unknown=None,
        # https://github.com/router-for-me/CLIProxyAPI/issues/5214
        most_tools=200,
        ids=re.compile(r"[\s\S]+"),
        more=(_check_model, _check_contents, _check_images),
        error=_error,
        habits=Habits(
            reasoning="reasoning_content",
            call_id=lambda number, index, call: f"call_{index}",
            whole_calls=True,
        ),
    )
