"""Moonshot's `/v1/chat/completions`, the one of Kimi.

https://platform.moonshot.ai/docs/api/chat and what its users report, named beside each rule.
"""

from __future__ import annotations

import re
from typing import Any

from tests.lookalikes import schemas
from tests.lookalikes.chat_dialect import Dialect, Habits
from tests.lookalikes.chat_server import ChatServer, is_blank
from tests.lookalikes.script import Json
from tests.lookalikes.server import Refused

_MEMBERS = frozenset(
    {"role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content", "partial"}
)


def _error(status: int, message: str, **detail: Any) -> Json:
    kind = {429: "rate_limit_reached_error", 401: "invalid_authentication_error"}.get(status)
    return {"error": {"message": message, "type": kind or "invalid_request_error"}}


def thinks(body: Json) -> bool:
    """Tell whether the model thinks: k2.5 and later ones do unless `thinking` is disabled."""
    asked = (body.get("thinking") or {}).get("type", "enabled")
    names = ("k2.5", "k2.6", "k3", "thinking")
    return asked != "disabled" and any(name in body["model"] for name in names)


def _check_contents(dialect: Dialect, body: Json) -> None:
    """An empty text is refused, even beside calls ("text content is empty").

    https://github.com/MoonshotAI/kimi-cli/issues/2621
    """
    for index, message in enumerate(body["messages"]):
        content, calls = message.get("content"), message.get("tool_calls")
        if isinstance(content, list) and any(is_blank([part]) for part in content):
            raise Refused(400, "Invalid request: text content is empty")
        if message["role"] != "tool" and not calls and is_blank(content):
            said = (
                f"Invalid request: the message at position {index} with role"
                f" '{message['role']}' must not be empty"
            )
            raise Refused(400, said)


def _check_ids(dialect: Dialect, body: Json) -> None:
    """Ids that occur again are refused, although they are its own.

    https://github.com/openclaw/openclaw/issues/84730, https://github.com/openclaw/openclaw/pull/87596
    """
    ids = [call["id"] for message in body["messages"] for call in message.get("tool_calls") or ()]
    if len(set(ids)) < len(ids):
        again = next(each for each in ids if ids.count(each) > 1)
        raise Refused(400, f"Invalid request: tool_call_id {again} is duplicated")


def _check_thoughts(dialect: Dialect, body: Json) -> None:
    """https://github.com/anomalyco/opencode/issues/10996 and https://github.com/can1357/oh-my-pi/issues/1077"""
    if not thinks(body):
        return
    for index, message in enumerate(body["messages"]):
        if message.get("tool_calls") and not message.get("reasoning_content"):
            said = (
                "thinking is enabled but reasoning_content is missing in assistant tool call"
                f" message at index {index}"
            )
            raise Refused(400, said)
    choice = body.get("tool_choice")
    if choice not in (None, "auto", "none"):
        word = "specified" if isinstance(choice, dict) else f"'{choice}'"
        raise Refused(400, f"tool_choice {word} is incompatible with thinking enabled")


def _check_temperature(dialect: Dialect, body: Json) -> None:
    """https://platform.moonshot.ai/docs/guide/migrating-from-openai-to-kimi: between 0 and 1."""
    temperature = body.get("temperature")
    if temperature is None:
        return
    if thinks(body) and temperature != 1:
        raise Refused(400, "invalid temperature: only 1 is allowed for this model")
    if not 0 <= temperature <= 1:
        raise Refused(400, "invalid temperature: must be between 0 and 1")


class Kimi(ChatServer):
    """Its ids are `functions.NAME:N`, and begin anew with each message.

    https://github.com/vllm-project/vllm/issues/50295, https://github.com/fw-ai/fireconnect/issues/16
    """

    dialect = Dialect(
        messages=dict.fromkeys(("system", "user", "assistant", "tool"), _MEMBERS),
        parts={
            "system": ("text",),
            "user": ("text", "image_url", "video_url"),
            "assistant": ("text",),
            "tool": ("text", "image_url"),
        },
        unknown=None,
        ids=re.compile(r"[\s\S]+"),
        # https://github.com/MoonshotAI/kimi-cli/issues/2531
        names=re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}"),
        wrong_name=(
            "Invalid request: function name is invalid, must start with a letter and can contain"
            " letters, numbers, underscores, and dashes"
        ),
        most_stops=5,
        # https://platform.moonshot.ai/docs/guide/migrating-from-openai-to-kimi: no `required`
        choices=frozenset({"none", "auto"}),
        schema=schemas.moonshot,
        links=False,
        more=(_check_contents, _check_ids, _check_thoughts, _check_temperature),
        error=_error,
        habits=Habits(
            reasoning="reasoning_content",
            call_id=lambda number, index, call: f"functions.{call.name}:{index}",
            usage="last",
            refusals=False,
        ),
    )
