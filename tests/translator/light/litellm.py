"""In LiteLLM's place where only the life of the translator's process matters, as the real one takes seconds to import.

It has what `neurolink_mitm.translator.engine` touches, asks nobody, and answers every request alike;
one that says "slowly" without an end.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from types import ModuleType, SimpleNamespace
from typing import Any

Json = dict[str, Any]

TEXT = "It lives."
USAGE: Json = {"input_tokens": 3, "output_tokens": 2}


async def _acreate(
    *, model: str, messages: Any, stream: bool = False, **_: Any
) -> Json | AsyncIterator[Json]:
    message = {"id": "msg_light", "type": "message", "role": "assistant", "model": model,
               "content": [], "stop_reason": None, "stop_sequence": None, "usage": USAGE}  # fmt: skip
    if stream:
        return _events(message, slowly="slowly" in str(messages))
    return message | {"content": [{"type": "text", "text": TEXT}], "stop_reason": "end_turn"}


async def _events(message: Json, slowly: bool) -> AsyncIterator[Json]:
    yield {"type": "message_start", "message": message}
    begin, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": TEXT}
    yield {"type": "content_block_start", "index": 0, "content_block": begin}
    yield {"type": "content_block_delta", "index": 0, "delta": delta}
    while slowly:  # for ever: until it is killed
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
        await asyncio.sleep(0.05)
    yield {"type": "content_block_stop", "index": 0}
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": end, "usage": USAGE}
    yield {"type": "message_stop"}


def get_model_info(model: str) -> Json:
    return {}


class _CombinedChunkSplitter:
    def __init__(self, chunks: Any) -> None: ...


anthropic = SimpleNamespace(messages=SimpleNamespace(acreate=_acreate))

_adapters: Any = ModuleType("litellm.llms.anthropic.experimental_pass_through.adapters")
_adapters.streaming_iterator = SimpleNamespace(_CombinedChunkSplitter=_CombinedChunkSplitter)
sys.modules[_adapters.__name__] = _adapters
