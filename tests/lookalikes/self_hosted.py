"""Servers of one's own that speak OpenAI's Chat Completions: vLLM and LM Studio.

https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html and
https://lmstudio.ai/docs/developer/openai-compat; the words of the errors are those that users quote.
"""

from __future__ import annotations

import json
import re
from typing import Any

from tests.lookalikes import schemas
from tests.lookalikes.chat_dialect import Dialect, Habits
from tests.lookalikes.chat_server import ChatServer
from tests.lookalikes.script import Json
from tests.lookalikes.server import Refused

_MEMBERS = frozenset(
    {"role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content", "reasoning"}
)
_MESSAGE = dict.fromkeys(("system", "developer", "user", "assistant", "tool"), _MEMBERS)
_PARTS = {
    "system": ("text",),
    "developer": ("text",),
    "user": ("text", "image_url", "video_url", "audio_url"),
    "assistant": ("text",),
    "tool": ("text",),
}


def _vllm_error(status: int, message: str, **detail: Any) -> Json:
    error = {"message": message, "type": "BadRequestError", "param": None, "code": status}
    return {"error": error}


def _check_arguments(dialect: Dialect, body: Json) -> None:
    """vLLM parses them before it fills the template (vllm/entrypoints/chat_utils.py)."""
    for message in body["messages"]:
        for call in message.get("tool_calls") or ():
            try:
                json.loads(call["function"]["arguments"])
            except ValueError as e:
                raise Refused(400, f"{e} 1 validation error for ValidatorIterator") from e


def _check_choice(dialect: Dialect, body: Json) -> None:
    if body.get("tool_choice") not in (None, "none") and not body.get("tools"):
        raise Refused(400, "When using `tool_choice`, `tools` must be set.")


def check_alternation(dialect: Dialect, body: Json) -> None:
    """Templates of Mistral's and Google's open models raise where roles don't alternate.

    https://github.com/vllm-project/vllm/issues/6862, and one system message at the beginning:
    https://github.com/suitenumerique/conversations/issues/197
    """
    before = ""
    for index, message in enumerate(body["messages"]):
        role = message["role"]
        if role == "system" and index:
            raise Refused(400, "System message must be at the beginning.")
        if role in ("user", "assistant") and role == before and not message.get("tool_calls"):
            said = (
                "After the optional system message, conversation roles must alternate"
                " user/assistant/user/assistant/..."
            )
            raise Refused(400, said)
        before = role


class VLLM(ChatServer):
    """The ids that it gives have 46 characters: https://github.com/vllm-project/vllm/issues/22966"""

    dialect = Dialect(
        messages=_MESSAGE,
        parts=_PARTS,
        unknown=None,
        ids=re.compile(r"[\s\S]+"),
        names=re.compile(r"[a-zA-Z0-9_.:-]+"),
        most_tools=None,
        most_stops=None,
        schema=schemas.draft7,
        more=(_check_arguments, _check_choice, check_alternation),
        error=_vllm_error,
        habits=Habits(
            reasoning="reasoning_content",
            call_id=lambda number, index, call: f"chatcmpl-tool-{number * 100 + index:032x}",
            refusals=False,
        ),
    )


def _studio_error(status: int, message: str, **detail: Any) -> Json:
    return {"error": message}


class LMStudio(ChatServer):
    """https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/670 (choices) and …/189 (formats)"""

    dialect = Dialect(
        messages=_MESSAGE,
        parts=_PARTS,
        unknown=None,
        ids=re.compile(r"[\s\S]+"),
        names=re.compile(r"[a-zA-Z0-9_.:-]+"),
        most_tools=None,
        most_stops=None,
        named_choice=False,
        formats=frozenset({"text", "json_schema"}),
        wrong_format="'response_format.type' must be 'json_schema' or 'text'",
        schema=schemas.draft7,
        links=False,
        more=(check_alternation,),
        error=_studio_error,
        habits=Habits(
            reasoning="reasoning_content",
            call_id=lambda number, index, call: str(100_000_000 + number * 100 + index),
            refusals=False,
        ),
    )
