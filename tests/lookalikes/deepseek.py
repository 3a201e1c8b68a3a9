"""DeepSeek's `/chat/completions` and `/beta/chat/completions`.

https://api-docs.deepseek.com/api/create-chat-completion and …/guides/thinking_mode; the words of the
errors are those that its users quote. It is written in Rust: members that it doesn't know are passed over.
"""

from __future__ import annotations

from typing import Literal

from starlette.requests import Request

from tests.lookalikes.chat_dialect import Dialect, Habits
from tests.lookalikes.chat_server import ChatServer, text_of
from tests.lookalikes.script import Json
from tests.lookalikes.server import Refused

Reasoning = Literal["loop", "always", "never"]
_TEXT = ("text",)


def thinks(body: Json) -> bool:
    """Tell whether the model thinks in this request: by its name, or by `thinking`."""
    asked = (body.get("thinking") or {}).get("type")
    if asked:
        return bool(asked == "enabled")
    return "reasoner" in body["model"] or "v4" in body["model"]


def _check_parts(dialect: Dialect, body: Json) -> None:
    """https://github.com/1jehuang/jcode/issues/310"""
    for index, message in enumerate(body["messages"]):
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part.get("type") != "text":
                said = (
                    "Failed to deserialize the JSON body into the target type:"
                    f" messages[{index}]: unknown variant `{part.get('type')}`, expected `text`"
                    " at line 1 column 23"
                )
                raise Refused(400, said, code="invalid_request_error")


def _check_format(dialect: Dialect, body: Json) -> None:
    """https://github.com/llm-exe/llm-exe/issues/662 and https://api-docs.deepseek.com/guides/json_mode"""
    if (body.get("response_format") or {}).get("type") != "json_object":
        return
    words = " ".join(text_of(message.get("content")) for message in body["messages"])
    if "json" not in words.lower():
        said = (
            "Prompt must contain the word 'json' in some form to use 'response_format' of type"
            " 'json_object'."
        )
        raise Refused(400, said, code="invalid_request_error")


def _check_choice(dialect: Dialect, body: Json) -> None:
    """https://github.com/XiaomiMiMo/MiMo-Code/issues/2068 and https://github.com/pydantic/pydantic-ai/issues/1886"""
    if thinks(body) and body.get("tool_choice") not in (None, "auto", "none"):
        said = "Thinking mode does not support this tool_choice"
        raise Refused(400, said, code="invalid_request_error")


def _check_last(dialect: Dialect, body: Json) -> None:
    """https://api-docs.deepseek.com/guides/chat_prefix_completion"""
    last = body["messages"][-1]
    if last["role"] == "assistant" and not last.get("prefix"):
        said = (
            "The last message must be a user or tool message, or an assistant message with prefix"
            " mode on (refer to https://api-docs.deepseek.com/guides/chat_prefix_completion)."
        )
        raise Refused(400, said, code="invalid_request_error")


def _members(*more: str) -> frozenset[str]:
    return frozenset({"role", "content", "name", *more})


class DeepSeek(ChatServer):
    """`reasoning`: how it wants its own thoughts back while tools are called.

    `loop`: in messages with calls since the user's last words (V3.2, "Missing `reasoning_content`
    field": https://github.com/continuedev/continue/issues/11285, where an empty one is enough).
    `always`: in all that have calls (V4, https://github.com/earendil-works/pi/issues/3636).
    `never`: it refuses them (R1, https://api-docs.deepseek.com/guides/reasoning_model as of 2025).
    """

    paths = ("/chat/completions", "/v1/chat/completions", "/beta/chat/completions")
    dialect = Dialect(
        messages={
            "system": _members(),
            "user": _members(),
            "assistant": _members("tool_calls", "reasoning_content", "prefix"),
            "tool": _members("tool_call_id"),
        },
        parts={
            "system": _TEXT,
            "user": ("text", "image_url", "file"),
            "assistant": _TEXT,
            "tool": ("text", "image_url"),
        },
        unknown=None,
        formats=frozenset({"text", "json_object"}),
        wrong_format="This response_format type is unavailable now",
        most_stops=16,
        more=(_check_parts, _check_format, _check_choice, _check_last),
        habits=Habits(
            reasoning="reasoning_content",
            call_id=lambda number, index, call: f"call_{index:02}_{number:018}",
            usage="last",
            refusals=False,
        ),
    )

    def __init__(self, reasoning: Reasoning = "loop") -> None:
        super().__init__()
        self.wants = reasoning

    def check(self, request: Request, body: Json) -> None:
        super().check(request, body)
        if not thinks(body):
            return
        messages = body["messages"]
        users = [at for at, message in enumerate(messages) if message["role"] == "user"]
        begin = users[-1] if users and self.wants == "loop" else 0
        for at, message in enumerate(messages):
            told = message.get("reasoning_content")
            if self.wants == "never" and told is not None:
                raise Refused(400, "The reasoning_content is not allowed in input messages.")
            if self.wants != "never" and at >= begin and message.get("tool_calls"):
                _check_told(told, at)


def _check_told(told: object, at: int) -> None:
    if not isinstance(told, str):
        said = (
            f"Missing `reasoning_content` field in the assistant message at message index {at}."
            " For more information, please refer to"
            " https://api-docs.deepseek.com/guides/thinking_mode#tool-calls"
        )
        raise Refused(400, said, code="invalid_request_error")
