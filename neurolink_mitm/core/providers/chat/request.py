"""Writes an adapted request, in Anthropic's form, as the arguments of `litellm.acompletion`, which has OpenAI's form.

https://docs.litellm.ai/docs/completion/input
"""

from __future__ import annotations

from typing import Any

from neurolink_mitm.core.providers.chat.messages import Json, chat_messages, mark
from neurolink_mitm.core.providers.chat.thoughts import lacks_thinking
from neurolink_mitm.core.providers.strictness import answer_schema, is_strict
from neurolink_mitm.core.providers.traits import Traits

_SAME = {"max_tokens": "max_tokens", "temperature": "temperature", "top_p": "top_p",
         "top_k": "top_k", "stop_sequences": "stop"}  # fmt: skip
"""Fields that have only other names."""
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_EFFORT = "medium"
"""The effort of thinking for which the client names none."""
_FORMAT = "answer"
"""OpenAI wants a name for the form of an answer."""


def chat_request(request: Json, traits: Traits) -> Json:
    """Return the arguments, without model and access. `request` is one that `adapt` returned."""
    messages = chat_messages(request.get("system"), request["messages"], traits)
    if request.get("cache_control"):
        mark(messages, request["cache_control"])
    arguments: Json = {"messages": messages}
    for name, written in _SAME.items():
        if request.get(name) not in (None, []):
            arguments[written] = request[name]
    if request.get("stream"):
        # else usage comes only with some providers
        arguments |= {"stream": True, "stream_options": {"include_usage": True}}
    return arguments | _tools(request) | _thinking(request, traits) | _format(request)


def _tools(request: Json) -> Json:
    tools = request.get("tools")
    if not tools:
        return {}
    arguments: Json = {"tools": [_tool(tool) for tool in tools]}
    choice = _members(request.get("tool_choice"))
    if choice.get("type") == "tool":
        function = {"name": choice.get("name")}
        arguments["tool_choice"] = {"type": "function", "function": function}
    elif choice.get("type") in _CHOICES:
        arguments["tool_choice"] = _CHOICES[choice["type"]]
    if choice.get("disable_parallel_tool_use") is True:
        arguments["parallel_tool_calls"] = False
    return arguments


def _tool(tool: Json) -> Json:
    members = {"name": "name", "description": "description", "input_schema": "parameters"}
    function = {written: tool[name] for name, written in members.items() if name in tool}
    return {"type": "function", "function": function}


def _thinking(request: Json, traits: Traits) -> Json:
    """Return the effort, or thinking as it is where the provider has that (Claude's)."""
    thinking = _members(request.get("thinking"))
    effort = _members(request.get("output_config")).get("effort")
    if thinking and traits.thoughts == "blocks" and lacks_thinking(request["messages"]):
        return {}
    kind = thinking.get("type")
    if traits.thinking == "budget" and kind in ("enabled", "adaptive"):
        return {"thinking": thinking}
    if kind == "adaptive":
        effort = effort or _EFFORT
    return {"reasoning_effort": effort} if effort and traits.reasons else {}


def _format(request: Json) -> Json:
    schema = answer_schema(request)
    if schema is None:
        return {}
    form: Json = {"name": _FORMAT, "schema": schema}
    if is_strict(schema):
        form["strict"] = True
    return {"response_format": {"type": "json_schema", "json_schema": form}}


def _members(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
