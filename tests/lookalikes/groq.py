"""Groq's `/openai/v1/chat/completions`.

https://console.groq.com/docs/api-reference#chat-create and what its users report.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tests.lookalikes.chat_dialect import PARTS, Dialect, Habits, Path, dotted
from tests.lookalikes.chat_server import ChatServer
from tests.lookalikes.script import Json
from tests.lookalikes.server import Refused

_FIELDS = frozenset(
    """
citation_options compound_custom disable_tool_validation documents exclude_domains
frequency_penalty function_call functions include_domains include_reasoning logit_bias logprobs
max_completion_tokens max_tokens messages metadata model n parallel_tool_calls presence_penalty
reasoning_effort reasoning_format response_format search_settings seed service_tier stop store
stream stream_options temperature tool_choice tools top_logprobs top_p user
    """.split()  # noqa: SIM905 - 35 lines otherwise
)
_MESSAGE = {
    "system": frozenset({"role", "content", "name"}),
    "developer": frozenset({"role", "content", "name"}),
    "user": frozenset({"role", "content", "name"}),
    # `reasoning` for gpt-oss (docs/reasoning); `reasoning_content` is refused everywhere:
    # https://github.com/tashfeenahmed/freellmapi/issues/1070
    "assistant": frozenset({"role", "content", "name", "tool_calls", "function_call"}),
    "tool": frozenset({"role", "content", "tool_call_id", "name"}),
}


def _unknown(path: Path, names: Collection[str]) -> Refused:
    name = min(names)
    if not path:
        return Refused(400, f"property '{name}' is unsupported")
    where = dotted(path[:2]).replace("[", ".").replace("]", "")
    said = (
        f"'{where}' : for 'role:assistant' the following must be satisfied[('{where}' : property"
        f" '{name}' is unsupported)]"
    )
    return Refused(400, said)


def _error(status: int, message: str, **detail: Any) -> Json:
    error: Json = {"message": message, "type": "invalid_request_error"}
    if status == 429:
        error |= {"type": "tokens", "code": "rate_limit_exceeded"}
    if "failed_generation" in detail:
        error |= {"code": "tool_use_failed", "failed_generation": detail["failed_generation"]}
    return {"error": error}


def _check_format(dialect: Dialect, body: Json) -> None:
    """https://console.groq.com/docs/structured-outputs: no tools and no streaming beside a format."""
    form = (body.get("response_format") or {}).get("type", "text")
    if form != "text" and body.get("tools"):
        raise Refused(400, "json mode cannot be combined with tool/function calling")


def _check_contents(dialect: Dialect, body: Json) -> None:
    """https://github.com/OpenHands/OpenHands/issues/4643"""
    for index, message in enumerate(body["messages"]):
        if message["role"] == "system" and not isinstance(message.get("content"), str):
            where = f"messages.{index}"
            said = (
                f"'{where}' : for 'role:system' the following must be satisfied[('{where}.content'"
                " : value must be a string)]"
            )
            raise Refused(400, said)


def _check_pictures(dialect: Dialect, body: Json) -> None:
    """https://console.groq.com/docs/vision: only some models see."""
    if "llama-4" in body["model"]:
        return
    for index, message in enumerate(body["messages"]):
        content = message.get("content")
        if isinstance(content, list) and any(part["type"] == "image_url" for part in content):
            raise Refused(400, f"messages[{index}].content must be a string")


def _check_reasoning(dialect: Dialect, body: Json) -> None:
    """https://console.groq.com/docs/reasoning: not `raw` with tools; an effort for models that think."""
    if body.get("reasoning_format") == "raw" and body.get("tools"):
        raise Refused(400, "reasoning_format `raw` is not allowed with tool calling")
    model, effort = body["model"], body.get("reasoning_effort")
    if effort is None:
        return
    known = {"gpt-oss": ("low", "medium", "high"), "qwen3": ("none", "default")}
    allowed = next((each for name, each in known.items() if name in model), ())
    if effort not in allowed:
        said = (
            f"`reasoning_effort` must be one of {list(allowed)}"
            if allowed
            else ("reasoning_effort is not supported with this model")
        )
        raise Refused(400, said)


class Groq(ChatServer):
    """Refuses members that it doesn't know, more than 128 tools, a format beside tools."""

    paths = ("/openai/v1/chat/completions",)
    dialect = Dialect(
        fields=_FIELDS,
        messages=_MESSAGE,
        parts={**PARTS, "user": ("text", "image_url"), "assistant": ("text",)},
        unknown=_unknown,
        # https://github.com/HunorLaczko/ha-groq-cloud-api/issues/25
        too_many_tools="'tools' : maximum number of items is {most}",
        more=(_check_format, _check_contents, _check_pictures, _check_reasoning),
        error=_error,
        habits=Habits(
            reasoning="reasoning",
            call_id=lambda number, index, call: f"fc_{number:08x}-{index:04x}",
            whole_calls=True,
            refusals=False,
        ),
    )
