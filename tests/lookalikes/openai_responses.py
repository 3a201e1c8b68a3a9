"""OpenAI's Responses.

Source: https://platform.openai.com/docs/api-reference/responses and responses-streaming; the types
of the official SDK; the words of the errors are those that its users quote.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request

from tests.lookalikes.openai_form import (
    FUNCTION_NAME,
    bearer,
    check_image_url,
    check_schema,
    check_tier,
    error_body,
    no_unknown,
)
from tests.lookalikes.script import Asked, Json, Reply, pieces
from tests.lookalikes.server import Lookalike, Refused, sse

_FIELDS = frozenset(
    {
        "background",
        "context_management",
        "conversation",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    }
)
_ITEMS: dict[str, frozenset[str]] = {
    "message": frozenset({"type", "role", "content", "id", "status", "phase"}),
    "function_call": frozenset({"type", "call_id", "name", "arguments", "id", "status"}),
    "function_call_output": frozenset({"type", "call_id", "output", "id", "status"}),
    "reasoning": frozenset({"type", "id", "summary", "content", "encrypted_content", "status"}),
    "item_reference": frozenset({"type", "id"}),
}
_INPUT = ("input_text", "input_image", "input_file")
_PARTS = {
    "user": _INPUT,
    "system": _INPUT,
    "developer": _INPUT,
    "assistant": ("output_text", "refusal"),
}
_PART_FIELDS: dict[str, frozenset[str]] = {
    "input_text": frozenset({"type", "text"}),
    "input_image": frozenset({"type", "image_url", "file_id", "detail"}),
    "input_file": frozenset({"type", "file_data", "file_id", "file_url", "filename"}),
    "output_text": frozenset({"type", "text", "annotations", "logprobs"}),
    "refusal": frozenset({"type", "refusal"}),
}
_FUNCTION = ("type", "name", "description", "parameters", "strict")
_BUILT_IN = frozenset({"web_search", "web_search_preview", "file_search", "mcp", "local_shell"})
_INCOMPLETE = {"length": "max_output_tokens", "filter": "content_filter"}
_LEAST_TOKENS = 16
_MOST_TOOLS = 128
_ID_LENGTH = 64


class OpenAIResponses(Lookalike):
    """`most_tokens`: who asks for more is refused."""

    paths = ("/v1/responses",)

    def __init__(self, *, most_tokens: int | None = None) -> None:
        super().__init__()
        self._most_tokens = most_tokens
        self._numbers = itertools.count(1)

    def check(self, request: Request, body: Json) -> None:
        bearer(request)
        no_unknown(body, _FIELDS, "")
        if not isinstance(body.get("model"), str):
            said = "Missing required parameter: 'model'."
            raise Refused(400, said, param="model", code="missing_required_parameter")
        self._check_limits(body)
        _check_tools(body)
        items = _items(body)
        if not items:
            said = "Missing required parameter: 'input'."
            raise Refused(400, said, param="input", code="missing_required_parameter")
        for index, item in enumerate(items):
            _check_item(item, f"input[{index}]")
        _check_pairs(items)

    def _check_limits(self, body: Json) -> None:
        check_tier(body)
        count, most = body.get("max_output_tokens"), self._most_tokens
        if count is not None and count < _LEAST_TOKENS:
            said = (
                "Invalid 'max_output_tokens': integer below minimum value. Expected a value"
                f" >= {_LEAST_TOKENS}, but got {count} instead."
            )
            raise Refused(400, said, param="max_output_tokens", code="integer_below_min_value")
        if count is not None and most is not None and count > most:
            said = (
                "Invalid 'max_output_tokens': integer above maximum value. Expected a value"
                f" <= {most}, but got {count} instead."
            )
            raise Refused(400, said, param="max_output_tokens", code="integer_above_max_value")
        for name, value in (body.get("metadata") or {}).items():
            if not isinstance(value, str) or len(value) > 512:
                raise Refused(400, f"Invalid 'metadata.{name}'.", param=f"metadata.{name}")
        if len(str(body.get("user") or "")) > 64:
            said = "Invalid 'user': string too long. Expected at most 64 characters."
            raise Refused(400, said, param="user", code="string_above_max_length")
        reasoning = body.get("reasoning") or {}
        no_unknown(reasoning, ("effort", "summary", "generate_summary"), "reasoning")

    def asked(self, body: Json) -> Asked:
        tools = [
            (t["name"], t.get("parameters") or {})
            for t in body.get("tools") or ()
            if t.get("type") == "function"
        ]
        if body.get("tool_choice") == "none":
            tools = []
        last = _items(body)[-1]
        if last.get("type") == "function_call_output":
            said = _text(last.get("output"))
            return Asked(tools, said, said)
        return Asked(tools, _text(last.get("content")))

    def streams(self, request: Request, body: Json) -> bool:
        return bool(body.get("stream"))

    def events(self, reply: Reply, body: Json) -> Iterator[bytes]:
        counter = itertools.count()
        for event in self._story(reply, body):
            yield sse({**event, "sequence_number": next(counter)}, event["type"])

    def _story(self, reply: Reply, body: Json) -> Iterator[Json]:
        number = next(self._numbers)
        begun = self._response(body, number, "in_progress", [])
        yield {"type": "response.created", "response": begun}
        yield {"type": "response.in_progress", "response": begun}
        items = self._output(reply, body, number)
        for index, item in enumerate(items):
            for event in _ITEM_EVENTS[item["type"]](item):
                yield {**event, "output_index": index}
        if not (reply.no_done and reply.no_finish):
            yield self._end(reply, body, number, items)

    def _end(self, reply: Reply, body: Json, number: int, items: list[Json]) -> Json:
        response = self._ended(reply, body, number, items)
        return {"type": f"response.{response['status']}", "response": response}

    def whole(self, reply: Reply, body: Json) -> Json:
        number = next(self._numbers)
        return self._ended(reply, body, number, self._output(reply, body, number))

    def _ended(self, reply: Reply, body: Json, number: int, items: list[Json]) -> Json:
        given, made = reply.tokens
        early = _INCOMPLETE.get(reply.finish)
        response = self._response(body, number, "incomplete" if early else "completed", items)
        response["incomplete_details"] = {"reason": early} if early else None
        response["usage"] = {
            "input_tokens": given,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": made,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": given + made,
        }
        return response

    def _output(self, reply: Reply, body: Json, number: int) -> list[Json]:
        items: list[Json] = []
        if reply.thinking:
            told = (body.get("reasoning") or {}).get("summary")
            summary = [{"type": "summary_text", "text": reply.thinking}] if told else []
            items.append({"type": "reasoning", "id": f"rs_{number}", "summary": summary})
        if reply.text:
            part = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
            items.append(
                {
                    "type": "message",
                    "id": f"msg_{number}",
                    "status": "completed",
                    "role": "assistant",
                    "content": [part],
                }
            )
        for index, call in enumerate(reply.calls):
            items.append(
                {
                    "type": "function_call",
                    "id": f"fc_{number}x{index}",
                    "call_id": f"call_{number}x{index}",
                    "name": call.name,
                    "arguments": json.dumps(call.arguments),
                    "status": "completed",
                }
            )
        return items

    def _response(self, body: Json, number: int, status: str, items: list[Json]) -> Json:
        return {
            "id": f"resp_{number}",
            "object": "response",
            "created_at": 1_750_000_000,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "model": body["model"],
            "output": items,
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "store": body.get("store", True),
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools") or [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": None,
            "user": None,
            "metadata": {},
        }

    def error(self, status: int, message: str, **detail: Any) -> Json:
        return error_body(status, message, **detail)

    def late_error(self, message: str) -> bytes:
        error = {"code": "server_error", "message": message, "param": None}
        return sse({"type": "error", **error, "sequence_number": 99}, "error")


def _message_events(item: Json) -> Iterator[Json]:
    (part,) = item["content"]
    at = {"item_id": item["id"], "content_index": 0}
    empty = {**part, "text": ""}
    begun = {**item, "status": "in_progress", "content": []}
    yield {"type": "response.output_item.added", "item": begun}
    yield {"type": "response.content_part.added", **at, "part": empty}
    for piece in pieces(part["text"]):
        yield {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **at, "part": part}
    yield {"type": "response.output_item.done", "item": item}


def _call_events(item: Json) -> Iterator[Json]:
    at = {"item_id": item["id"]}
    begun = {**item, "status": "in_progress", "arguments": ""}
    yield {"type": "response.output_item.added", "item": begun}
    for piece in pieces(item["arguments"]):
        yield {"type": "response.function_call_arguments.delta", **at, "delta": piece}
    done = {"name": item["name"], "arguments": item["arguments"]}
    yield {"type": "response.function_call_arguments.done", **at, **done}
    yield {"type": "response.output_item.done", "item": item}


def _reasoning_events(item: Json) -> Iterator[Json]:
    yield {"type": "response.output_item.added", "item": {**item, "summary": []}}
    for index, part in enumerate(item["summary"]):
        at = {"item_id": item["id"], "summary_index": index}
        empty = {**part, "text": ""}
        yield {"type": "response.reasoning_summary_part.added", **at, "part": empty}
        for piece in pieces(part["text"]):
            yield {"type": "response.reasoning_summary_text.delta", **at, "delta": piece}
        yield {"type": "response.reasoning_summary_text.done", **at, "text": part["text"]}
        yield {"type": "response.reasoning_summary_part.done", **at, "part": part}
    yield {"type": "response.output_item.done", "item": item}


_ITEM_EVENTS = {
    "message": _message_events,
    "function_call": _call_events,
    "reasoning": _reasoning_events,
}


def _items(body: Json) -> list[Json]:
    given = body.get("input")
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return list(given or ())


def _check_tools(body: Json) -> None:
    tools = body.get("tools") or []
    if len(tools) > _MOST_TOOLS:
        said = (
            f"Invalid 'tools': array too long. Expected an array with maximum length {_MOST_TOOLS},"
            f" but got an array with length {len(tools)} instead."
        )
        raise Refused(400, said, param="tools", code="array_above_max_length")
    for index, tool in enumerate(tools):
        where = f"tools[{index}]"
        if tool.get("type") in _BUILT_IN:
            continue
        if tool.get("type") != "function":
            said = f"Invalid value: '{tool.get('type')}'."
            raise Refused(400, said, param=f"{where}.type", code="invalid_value")
        no_unknown(tool, _FUNCTION, where)
        _check_name(tool.get("name"), f"{where}.name")
        check_schema(tool["name"], tool.get("parameters"), where)
    _check_choice(body.get("tool_choice"), [t.get("name") for t in tools])


def _check_choice(choice: object, names: list[str | None]) -> None:
    if isinstance(choice, dict):
        no_unknown(choice, ("type", "name", "mode", "tools", "server_label"), "tool_choice")
        if choice.get("type") == "function" and choice.get("name") not in names:
            said = f"Tool choice '{choice.get('name')}' not found in 'tools' parameter."
            raise Refused(400, said, param="tool_choice")
    elif choice not in (None, "none", "auto", "required"):
        raise Refused(400, f"Invalid value: '{choice}'.", param="tool_choice")


def _check_name(name: object, where: str) -> None:
    if not isinstance(name, str) or not FUNCTION_NAME.fullmatch(name):
        said = (
            f"Invalid '{where}': string does not match pattern."
            " Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
        )
        raise Refused(400, said, param=where, code="invalid_value")


def _check_item(item: Json, where: str) -> None:
    kind = item.get("type", "message")
    if kind not in _ITEMS:
        said = f"Invalid value: '{kind}'. Supported values are: {', '.join(sorted(_ITEMS))}."
        raise Refused(400, said, param=f"{where}.type", code="invalid_value")
    no_unknown(item, _ITEMS[kind], where)
    if kind == "message":
        _check_message(item, where)
    elif kind == "function_call":
        _check_name(item.get("name"), f"{where}.name")
        _check_string(item.get("arguments"), f"{where}.arguments")
    elif kind == "function_call_output" and not isinstance(item.get("output"), str):
        _check_parts(item.get("output"), _INPUT, f"{where}.output")
    if kind == "reasoning" and not item.get("id"):
        said = f"Missing required parameter: '{where}.id'."
        raise Refused(400, said, param=f"{where}.id", code="missing_required_parameter")
    if kind.startswith("function_call"):
        _check_string(item.get("call_id"), f"{where}.call_id", _ID_LENGTH)


def _check_string(value: object, where: str, most: int | None = None) -> None:
    if not isinstance(value, str) or (most and not 0 < len(value) <= most):
        raise Refused(400, f"Invalid '{where}'.", param=where, code="invalid_value")


def _check_message(item: Json, where: str) -> None:
    role = item.get("role")
    if role not in _PARTS:
        said = f"Invalid value: '{role}'. Supported values are: {', '.join(_PARTS)}."
        raise Refused(400, said, param=f"{where}.role", code="invalid_value")
    if not isinstance(item.get("content"), str):
        _check_parts(item.get("content"), _PARTS[role], f"{where}.content")


def _check_parts(content: object, kinds: tuple[str, ...], where: str) -> None:
    if not isinstance(content, list):
        raise Refused(400, f"Invalid type for '{where}'.", param=where, code="invalid_type")
    for index, part in enumerate(content):
        at = f"{where}[{index}]"
        kind = part.get("type")
        if kind not in kinds:
            known = ", ".join(f"'{name}'" for name in kinds)
            said = f"Invalid value: '{kind}'. Supported values are: {known}."
            raise Refused(400, said, param=at, code="invalid_value")
        no_unknown(part, _PART_FIELDS[kind], at)
        if kind == "input_image" and not part.get("file_id"):
            check_image_url(part.get("image_url"), f"{at}.image_url")


def _check_pairs(items: list[Json]) -> None:
    """Each call has its output, and each output its call before it."""
    made: list[str] = []
    for index, item in enumerate(items):
        if item.get("type") == "function_call":
            made.append(item["call_id"])
        elif item.get("type") == "function_call_output":
            identity = item["call_id"]
            if identity not in made:
                said = f"No tool call found for function call output with call_id {identity}."
                raise Refused(400, said, param=f"input[{index}]")
            made.remove(identity)
    if made:
        said = f"No tool output found for function call {made[0]}."
        raise Refused(400, said, param="input")


def _text(content: object) -> str:
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return str(content or "")
