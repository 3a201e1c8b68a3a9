"""Writes an adapted request, in Anthropic's form, as the arguments of `litellm.aresponses`, OpenAI's Responses API.

Nothing is stored there. A model's reasoning comes and goes encrypted, in the signatures of thinking.
https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from neurolink_mitm.core.providers.signatures import reasoning_of
from neurolink_mitm.core.providers.strictness import answer_schema, is_strict
from neurolink_mitm.core.providers.traits import Traits

Json = dict[str, Any]

LEAST_TOKENS = 16
"""The smallest `max_output_tokens` that the API takes: "integer below minimum value. Expected a value >= 16"."""
DOCUMENT_NAME = "document.pdf"
"""The API wants a name beside the data of a file."""
FORMAT_NAME = "answer"
"""The API wants a name for the form of an answer."""
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def responses_request(request: Json, traits: Traits) -> Json:
    """Return the arguments, without model and access. `request` is one that `adapt` returned."""
    arguments: Json = {"input": list(_items(request["messages"])), "store": False}
    if request.get("system"):
        arguments["instructions"] = request["system"]
    if type(tokens := request.get("max_tokens")) is int:
        arguments["max_output_tokens"] = max(LEAST_TOKENS, tokens)
    if request.get("stream"):
        arguments["stream"] = True
    return (
        arguments
        | _sampling(request, traits)
        | _tools(request)
        | _reasoning(request, traits)
        | _form(request)
    )


def _sampling(request: Json, traits: Traits) -> Json:
    if not traits.sampling:
        return {}
    return {
        name: request[name] for name in ("temperature", "top_p") if request.get(name) is not None
    }


def _items(messages: list[Json]) -> Iterator[Json]:
    for message in messages:
        write = _said_by_model if message["role"] == "assistant" else _said_by_user
        yield from write(message["content"])


def _said_by_model(blocks: list[Json]) -> Iterator[Json]:
    """Yield texts, calls, and the reasoning before each: the API refuses reasoning that nothing follows.

    Item ids are left out but for those of reasoning, which the API wants: others tie items to each other.
    """
    reasoning: list[Json] = []
    for block in blocks:
        if block["type"] == "thinking":
            reasoning = list(_reasoned(block)) or reasoning
            continue
        if item := _model_item(block):
            yield from reasoning
            yield item
            reasoning = []


def _model_item(block: Json) -> Json | None:
    if block["type"] == "tool_use":
        arguments = msgspec.json.encode(block.get("input") or {}).decode()
        return {
            "type": "function_call",
            "call_id": block["id"],
            "name": block["name"],
            "arguments": arguments,
        }
    if block["type"] == "text":
        content = [{"type": "output_text", "text": block["text"]}]
        return {"type": "message", "role": "assistant", "content": content}
    return None  # the API has no pictures of the assistant's


def _reasoned(block: Json) -> Iterator[Json]:
    item = reasoning_of(block.get("signature"))
    if item:
        text = block.get("thinking")
        summary = [{"type": "summary_text", "text": text}] if text else []
        yield {"type": "reasoning", "id": item[0], "summary": summary, "encrypted_content": item[1]}


def _said_by_user(blocks: list[Json]) -> Iterator[Json]:
    """Yield the results of tools first, since they follow their calls; then what else the user says."""
    others: list[Json] = []
    for block in blocks:
        if block["type"] == "tool_result":
            output = _output(block.get("content"))
            yield {
                "type": "function_call_output",
                "call_id": block["tool_use_id"],
                "output": output,
            }
        else:
            others.append(_part(block))
    if others:
        yield {"type": "message", "role": "user", "content": others}


def _output(content: Any) -> str | list[Json]:
    if isinstance(content, list):
        return [_part(block) for block in content]
    return content or ""


def _part(block: Json) -> Json:
    if block["type"] == "text":
        return {"type": "input_text", "text": block["text"]}
    source = block["source"]
    linked = source["type"] == "url"
    url = source["url"] if linked else f"data:{source['media_type']};base64,{source['data']}"
    if block["type"] == "image":
        return {"type": "input_image", "image_url": url, "detail": "auto"}
    if linked:
        return {"type": "input_file", "file_url": url}
    return {"type": "input_file", "filename": DOCUMENT_NAME, "file_data": url}


def _tools(request: Json) -> Json:
    tools = request.get("tools")
    if not tools:
        return {}
    arguments: Json = {"tools": [_tool(tool) for tool in tools]}
    choice = _members(request.get("tool_choice"))
    if choice.get("type") == "tool":
        arguments["tool_choice"] = {"type": "function", "name": choice.get("name")}
    elif choice.get("type") in _CHOICES:
        arguments["tool_choice"] = _CHOICES[choice["type"]]
    if choice.get("disable_parallel_tool_use") is True:
        arguments["parallel_tool_calls"] = False
    return arguments


def _tool(tool: Json) -> Json:
    """Return a tool that is not strict: this API makes tools so by itself, which optional parameters don't survive."""
    written: Json = {"type": "function", "name": tool["name"], "strict": False}
    if tool.get("description"):
        written["description"] = tool["description"]
    return written | {
        "parameters": tool.get("input_schema") or {"type": "object", "properties": {}}
    }


def _reasoning(request: Json, traits: Traits) -> Json:
    """Return effort and summary. Reasoning is asked for, to be handed back, by those who show thinking."""
    if not traits.reasons:
        return {}
    thinks = _members(request.get("thinking")).get("type") in ("enabled", "adaptive")
    effort = _members(request.get("output_config")).get("effort")
    reasoning = {"effort": effort} if effort else {}
    if not thinks:
        return {"reasoning": reasoning} if reasoning else {}
    return {
        "reasoning": {**reasoning, "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
    }


def _form(request: Json) -> Json:
    schema = answer_schema(request)
    if schema is None:
        return {}
    form = {
        "type": "json_schema",
        "name": FORMAT_NAME,
        "schema": schema,
        "strict": is_strict(schema),
    }
    return {"text": {"format": form}}


# What a provider refuses and is asked again without

_REASONING_ITEMS = re.compile(
    r"encrypted content|encrypted_content|of type 'reasoning'|required 'reasoning' item|'rs_[^']*' not found"
)
_SUMMARY = re.compile(r"reasoning\.summary|reasoning summar", re.IGNORECASE)
_NO_ENCRYPTION = re.compile(r"Encrypted content is not supported", re.IGNORECASE)
_PARAMETER = re.compile(r"(?:Unsupported|Unknown) parameter: '([a-z_.]{1,99})'")
_VALUE = re.compile(r"Unsupported value: '([a-z_.]{1,99})'")
_PARAM = re.compile(r""""param": ?"([a-z_.]{1,99})\"""")
_SPARED = frozenset(
    {
        "reasoning.effort",
        "temperature",
        "top_p",
        "parallel_tool_calls",
        "reasoning",
        "include",
        "text.format.strict",
    }
)
"""Parameters that a request can do without."""


def without_refused(arguments: Json, text: str) -> Json | None:
    """Return the arguments without what the provider's error complains of; None if that can't be left out.

    It is known only when asked whether an organisation may see summaries ("must be verified to generate reasoning
    summaries"), and whether reasoning of an earlier turn can be read still (another key, another model).
    """
    if _SUMMARY.search(text):
        return _without(arguments, "reasoning", "summary")
    if _NO_ENCRYPTION.search(text):
        return _without(arguments, "include")
    named = {found[1] for found in (_PARAMETER.search(text), _VALUE.search(text)) if found}
    if "nsupported" in text and (found := _PARAM.search(text)):
        named.add(found[1])
    if spared := named & _SPARED:
        return _without(arguments, *min(spared).split("."))
    if _REASONING_ITEMS.search(text):
        kept = [item for item in arguments["input"] if item["type"] != "reasoning"]
        return {**arguments, "input": kept} if len(kept) < len(arguments["input"]) else None
    return None


def lasting(text: str) -> bool:
    """Tell whether the error is of what the model refuses always, not of this one conversation."""
    return bool(_SUMMARY.search(text) or _NO_ENCRYPTION.search(text) or _PARAMETER.search(text))


def _without(arguments: Json, name: str, *inner: str) -> Json | None:
    if name not in arguments:
        return None
    left = {each: value for each, value in arguments.items() if each != name}
    if inner:
        nested = _without(arguments[name], *inner)
        if nested is None:
            return None
        left |= {name: nested} if nested else {}
    return left


def _members(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
