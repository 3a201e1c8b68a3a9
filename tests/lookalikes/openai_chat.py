"""OpenAI's Chat Completions.

Source: https://platform.openai.com/docs/api-reference/chat and its streaming page; the words of
the errors are those that its users quote.
"""

from __future__ import annotations

import dataclasses
import re

from starlette.requests import Request

from tests.lookalikes.chat_dialect import PARTS, Dialect, Habits
from tests.lookalikes.chat_server import ChatServer
from tests.lookalikes.openai_form import check_tier
from tests.lookalikes.script import Json
from tests.lookalikes.server import Refused

_REASONING_MODEL = re.compile(r"(o\d|gpt-5)")
_OTHER_MODEL = re.compile(r"(chat)?gpt-[34]")
_USER_LENGTH = 64
_FIXED = {"temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0}
"""What reasoning models take no other value of.

https://platform.openai.com/docs/guides/reasoning
"""


class OpenAIChat(ChatServer):
    """`base` is what comes before `/chat/completions`.

    For its relatives: `also` names further fields of the body and of messages that they take,
    `reasoning` the field in which they tell their reasoning (OpenAI itself tells none).
    `most_tokens`: who asks for more is refused. `counts`: usage ends a stream even if nobody asks.
    """

    def __init__(
        self,
        base: str = "/v1",
        *,
        also: frozenset[str] = frozenset(),
        reasoning: str | None = None,
        most_tokens: int | None = None,
        counts: bool = False,
    ) -> None:
        super().__init__()
        self.paths = (f"{base}/chat/completions",)
        plain = Dialect()
        self.dialect = dataclasses.replace(
            plain,
            fields=plain.fields | also,
            messages={role: members | also for role, members in plain.messages.items()},
            parts=PARTS,
            habits=Habits(reasoning=reasoning, usage="last" if counts else "asked"),
        )
        self._most_tokens = most_tokens

    def check(self, request: Request, body: Json) -> None:
        super().check(request, body)
        check_tier(body)
        check_model(body)
        self._check_counts(body)
        if len(str(body.get("user") or "")) > _USER_LENGTH:
            said = f"Invalid 'user': string too long. Expected at most {_USER_LENGTH} characters."
            raise Refused(400, said, param="user", code="string_above_max_length")
        if body.get("metadata") and not body.get("store"):
            said = "The 'metadata' parameter is only allowed when 'store' is enabled."
            raise Refused(400, said, param="metadata")

    def _check_counts(self, body: Json) -> None:
        for name in ("max_tokens", "max_completion_tokens"):
            count, most = body.get(name), self._most_tokens
            if count is not None and most is not None and count > most:
                said = (
                    f"{name} is too large: {count}. This model supports at most {most} completion"
                    f" tokens, whereas you provided {count}."
                )
                raise Refused(400, said, param=name, code="invalid_value")


def check_model(body: Json) -> None:
    """Check what reasoning models don't take, or only they. Raises Refused."""
    if not _REASONING_MODEL.match(body["model"]):
        if "reasoning_effort" in body and _OTHER_MODEL.match(body["model"]):
            raise Refused(400, "Unrecognized request argument supplied: reasoning_effort")
        return
    if "max_tokens" in body:
        said = (
            "Unsupported parameter: 'max_tokens' is not supported with this model."
            " Use 'max_completion_tokens' instead."
        )
        raise Refused(400, said, param="max_tokens", code="unsupported_parameter")
    if body.get("stop") is not None:
        said = "Unsupported parameter: 'stop' is not supported with this model."
        raise Refused(400, said, param="stop", code="unsupported_parameter")
    for name, value in _FIXED.items():
        if body.get(name, value) != value:
            said = (
                f"Unsupported value: '{name}' does not support this value with this model."
                f" Only the default ({value}) value is supported."
            )
            raise Refused(400, said, param=name, code="unsupported_value")
