"""OpenRouter's `/api/v1/chat/completions`: https://openrouter.ai/docs/api-reference/overview

It hands the request on, so the rules are those of the provider behind it, here of OpenAI's kind.
"""

from __future__ import annotations

from typing import Any

from tests.lookalikes.chat_dialect import FIELDS, MESSAGE, PARTS, Dialect, Habits
from tests.lookalikes.chat_server import ChatServer
from tests.lookalikes.script import Json
from tests.lookalikes.server import sse

_ALSO = frozenset(
    """
models plugins preset provider reasoning route transforms usage top_k min_p top_a include_reasoning
repetition_penalty
    """.split()  # noqa: SIM905 - 12 lines otherwise
)


def _error(status: int, message: str, **detail: Any) -> Json:
    """https://openrouter.ai/docs/api-reference/errors, as quoted in https://github.com/charmbracelet/crush/issues/279"""
    raw = f'{{"error":{{"message":{message!r},"type":"invalid_request_error"}}}}'
    metadata = {"raw": raw, "provider_name": "OpenAI"}
    said = "Provider returned error" if status == 400 else message
    error: Json = {"message": said, "code": status}
    return {"error": error | ({"metadata": metadata} if status == 400 else {})}


class OpenRouter(ChatServer):
    """Comments keep its streams alive; an error within one is a chunk whose choice ends in `error`."""

    paths = ("/api/v1/chat/completions",)
    dialect = Dialect(
        fields=FIELDS | _ALSO,
        messages={
            role: members | {"reasoning", "reasoning_details", "name"}
            for role, members in MESSAGE.items()
        },
        parts=PARTS,
        error=_error,
        habits=Habits(reasoning="reasoning", comment=b": OPENROUTER PROCESSING\n\n"),
    )

    def late_error(self, message: str) -> bytes:
        """https://openrouter.ai/docs/api-reference/streaming#error-handling-during-streaming"""
        choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
        return sse(
            {
                "id": "gen-1",
                "object": "chat.completion.chunk",
                "created": 1_750_000_000,
                "model": "m",
                "provider": "OpenAI",
                "error": {"code": 502, "message": message},
                "choices": [choice],
            }
        )
