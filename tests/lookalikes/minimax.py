"""MiniMax's `/v1/chat/completions`: https://platform.minimax.io/docs/api-reference/text-openai-api and reports."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.lookalikes.chat_dialect import Dialect, Habits
from tests.lookalikes.chat_server import ChatServer
from tests.lookalikes.script import Json
from tests.lookalikes.server import Refused

_MEMBERS = frozenset(
    {
        "role",
        "content",
        "name",
        "tool_calls",
        "tool_call_id",
        "reasoning_details",
        "reasoning_content",
    }
)


def _error(status: int, message: str, **detail: Any) -> Json:
    error = {"type": "bad_request_error", "message": message, "http_code": str(status)}
    return {"type": "error", "error": error, "request_id": "0690b098aa1e9dd5a6773a48c479fc89"}


def _refused(said: str) -> Refused:
    return Refused(400, f"invalid params, {said} (2013)")


def _check_tools(dialect: Dialect, body: Json) -> None:
    """https://github.com/QwenLM/qwen-code/issues/11834"""
    for tool in body.get("tools") or ():
        if not tool["function"].get("parameters"):
            raise _refused("function parameters is empty")


def _check_calls(dialect: Dialect, body: Json) -> None:
    """https://github.com/HKUDS/nanobot/issues/2373 and https://github.com/MiniMax-AI/MiniMax-M2/issues/76"""
    for message in body["messages"]:
        for call in message.get("tool_calls") or ():
            try:
                arguments = json.loads(call["function"]["arguments"])
            except ValueError:
                arguments = None
            if not isinstance(arguments, dict):
                said = f"invalid function arguments json string, tool_call_id: {call['id']}"
                raise _refused(said)


def _check_roles(dialect: Dialect, body: Json) -> None:
    """https://github.com/BigPizzaV3/CodexPlusPlus/issues/267: one system message, at the beginning."""
    if any(message["role"] == "system" for message in body["messages"][1:]):
        raise _refused("chat content has invalid message role: system")


class MiniMax(ChatServer):
    """Refuses tools without parameters, and arguments that are no object."""

    dialect = Dialect(
        messages=dict.fromkeys(("system", "user", "assistant", "tool"), _MEMBERS),
        parts={
            "system": ("text",),
            "user": ("text", "image_url", "video_url"),
            "assistant": ("text",),
            "tool": ("text",),
        },
        unknown=None,
        most_tools=None,
        ids=re.compile(r"[\s\S]+"),
        more=(_check_tools, _check_calls, _check_roles),
        error=_error,
        habits=Habits(
            reasoning="reasoning_content",
            call_id=lambda number, index, call: f"call_function_{number:010}_{index + 1}",
            usage="last",
            refusals=False,
        ),
    )
