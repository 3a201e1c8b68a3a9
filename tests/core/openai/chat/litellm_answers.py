"""Run in a process of its own: completions that LiteLLM makes of Messages answers, whole and joined from its chunks.

A JSON list of pairs is read, a message and its events; a list of pairs of completions is written.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import httpx
import litellm
from litellm.llms.anthropic.chat.handler import ModelResponseIterator
from litellm.llms.anthropic.chat.transformation import AnthropicConfig


def whole(message: Any) -> Any:
    response = AnthropicConfig().transform_parsed_response(
        message, httpx.Response(200, json=message), litellm.ModelResponse()
    )
    return response.model_dump()


def joined(events: list[Any]) -> Any:
    parser = ModelResponseIterator(streaming_response=iter(()), sync_stream=True)
    said: dict[str, Any] = {"content": "", "reasoning_content": "", "tool_calls": {}}
    reason, usage = None, None
    for event in events:
        chunk = parser.chunk_parser(event).model_dump()
        choice = chunk["choices"][0]
        for name in ("content", "reasoning_content"):
            said[name] += choice["delta"].get(name) or ""
        for call in choice["delta"].get("tool_calls") or ():
            known = said["tool_calls"].setdefault(call["index"], {"arguments": ""})
            function = call["function"]
            known["arguments"] += function["arguments"] or ""
            known |= {k: v for k, v in (("id", call["id"]), ("name", function["name"])) if v}
        reason, usage = choice["finish_reason"] or reason, chunk.get("usage") or usage
    calls = [
        {"id": call["id"], "function": {"name": call["name"], "arguments": call["arguments"]}}
        for call in said["tool_calls"].values()
    ]
    message = {**said, "tool_calls": calls}
    return {"choices": [{"finish_reason": reason, "message": message}], "usage": usage}


print(json.dumps([(whole(message), joined(events)) for message, events in json.load(sys.stdin)]))
