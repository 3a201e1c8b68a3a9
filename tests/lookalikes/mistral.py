"""Mistral's `/v1/chat/completions`.

Members: the models of its clients (https://github.com/mistralai/client-python), which forbid others:
422 "Extra inputs are not permitted" (https://github.com/editor-code-assistant/eca/issues/231,
https://github.com/BerriAI/litellm/issues/30835). Order, ids and counts: its own validator
(https://github.com/mistralai/mistral-common, protocol/instruct/validator.py); the errors' codes as
quoted in https://github.com/datapizza-labs/datapizza-ai/issues/98 and
https://github.com/nearai/ironclaw/issues/1241.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection
from typing import Any

from tests.lookalikes import schemas
from tests.lookalikes.chat_dialect import Dialect, Habits, Path
from tests.lookalikes.chat_server import ChatServer
from tests.lookalikes.script import Json
from tests.lookalikes.server import Refused

_FIELDS = frozenset(
    """
model temperature top_p max_tokens stream stop random_seed messages response_format tools
tool_choice presence_penalty frequency_penalty n safe_prompt prediction parallel_tool_calls
prompt_mode reasoning_effort metadata guardrails
    """.split()  # noqa: SIM905 - 20 lines otherwise
)
_MESSAGE = {
    "system": frozenset({"role", "content"}),
    "user": frozenset({"role", "content"}),
    "assistant": frozenset({"role", "content", "tool_calls", "prefix"}),
    "tool": frozenset({"role", "content", "tool_call_id", "name"}),
}
_PARTS = {
    "system": ("text", "thinking"),
    "user": ("text", "image_url", "document_url", "reference", "file", "input_audio"),
    "assistant": ("text", "thinking", "reference"),
    "tool": ("text", "image_url", "document_url", "reference"),
}
_AFTER = {
    "system": ("user", "assistant", "system"),
    "user": ("assistant", "system", "user"),
    "assistant": ("assistant", "user", "tool"),
    "tool": ("assistant", "tool"),
}


def _unknown(path: Path, names: Collection[str]) -> Refused:
    detail = [
        {
            "type": "extra_forbidden",
            "loc": ["body", *path, name],
            "msg": "Extra inputs are not permitted",
        }
        for name in sorted(names)
    ]
    return Refused(422, "", detail=detail)


def _error(status: int, message: str, **detail: Any) -> Json:
    told: Any = {"detail": detail["detail"]} if "detail" in detail else message
    kind = detail.get("kind", "invalid_request_error")
    return {
        "object": "error",
        "message": told,
        "type": kind,
        "param": None,
        "code": detail.get("code"),
    }


def _check_order(dialect: Dialect, body: Json) -> None:
    messages = body["messages"]
    kind, code = "invalid_request_message_order", "3230"
    for before, message in itertools.pairwise(messages):
        if message["role"] not in _AFTER[before["role"]]:
            said = f"Unexpected role '{message['role']}' after role '{before['role']}'"
            raise Refused(400, said, kind=kind, code=code)
    last = messages[-1]
    if last["role"] == "assistant" and not last.get("prefix"):
        said = (
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got"
            " assistant"
        )
        raise Refused(400, said, kind=kind, code=code)
    if any(message.get("prefix") for message in messages[:-1]):
        raise Refused(400, "Assistant message with prefix True must be last message", code="3240")


def _check_contents(dialect: Dialect, body: Json) -> None:
    for message in body["messages"]:
        if message["role"] != "assistant":
            continue
        if not message.get("content") and not message.get("tool_calls"):
            # https://github.com/OpenHands/OpenHands/issues/8685
            said = "Assistant message must have either content or tool_calls, but not none."
            raise Refused(400, said, kind="invalid_request_assistant_message", code="3240")


def _check_results(dialect: Dialect, body: Json) -> None:
    """Results are counted: "Not the same number of function calls and responses"."""
    waiting = 0
    for message in body["messages"]:
        waiting += len(message.get("tool_calls") or ()) - (message["role"] == "tool")
        if message["role"] != "tool" and waiting > len(message.get("tool_calls") or ()):
            said = "Not the same number of function calls and responses"
            raise Refused(400, said, kind="invalid_request_message_order", code="3230")


def _check_tools(dialect: Dialect, body: Json) -> None:
    for index, tool in enumerate(body.get("tools") or ()):
        if tool["function"].get("parameters") is None:
            path = ["body", "tools", index, "function", "parameters"]
            detail = [{"type": "missing", "loc": path, "msg": "Field required"}]
            raise Refused(422, "", detail=detail)


class Mistral(ChatServer):
    """Its ids have nine letters or digits; usage comes with the reason of the end, unasked."""

    dialect = Dialect(
        fields=_FIELDS,
        messages=_MESSAGE,
        parts=_PARTS,
        unknown=_unknown,
        ids=re.compile(r"[a-zA-Z0-9]{9}"),
        wrong_id="Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of 9.",
        wrong_name=(
            "Function name was {name} but must be a-z, A-Z, 0-9, or contain underscores and dashes,"
            " with a maximum length of 64."
        ),
        most_tools=None,
        most_stops=None,
        choices=frozenset({"none", "auto", "any", "required"}),
        schema=schemas.draft7,
        more=(_check_order, _check_results, _check_contents, _check_tools),
        error=_error,
        habits=Habits(
            call_id=lambda number, index, call: f"Mi{number:05}x{index}",
            usage="last",
            whole_calls=True,
            finish={"stop": "stop", "length": "length", "filter": "content_filter"},
            refusals=False,
        ),
    )
