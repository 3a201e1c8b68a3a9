"""OpenAI's Chat Completions, and those who speak the same: Groq, DeepSeek, Mistral, OpenRouter.

Source: https://platform.openai.com/docs/api-reference/chat and its streaming page; the words of
the errors are those that its users quote.
"""

from __future__ import annotations

import itertools
import json
import re
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
from tests.lookalikes.script import Asked, Call, Json, Reply, pieces
from tests.lookalikes.server import Lookalike, Refused, sse

_FIELDS = frozenset(
    {
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "modalities",
        "model",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    }
)
_MESSAGE = {
    "system": frozenset({"role", "content", "name"}),
    "developer": frozenset({"role", "content", "name"}),
    "user": frozenset({"role", "content", "name"}),
    "assistant": frozenset(
        {"role", "content", "name", "refusal", "tool_calls", "function_call", "audio"}
    ),
    "tool": frozenset({"role", "content", "tool_call_id"}),
}
_PARTS = {
    "system": ("text",),
    "developer": ("text",),
    "user": ("text", "image_url", "input_audio", "file"),
    "assistant": ("text", "refusal"),
    "tool": ("text",),
}
_FINISH = {"stop": "stop", "length": "length", "filter": "content_filter"}
_REASONING_MODEL = re.compile(r"(o\d|gpt-5)")
_ID_LENGTH = 40
_USER_LENGTH = 64
_MOST_TOOLS = 128
_MOST_STOPS = 4


class OpenAIChat(Lookalike):
    """`base` is what comes before `/chat/completions`.

    For its relatives: `also` names further fields of the body and of messages that they take,
    `reasoning` the field in which they tell their reasoning (OpenAI itself tells none).
    `most_tokens`: who asks for more is refused. `counts`: usage ends a stream even if nobody asks,
    as with Mistral.
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
        self._also = also
        self._reasoning = reasoning
        self._most_tokens = most_tokens
        self._counts = counts
        self._numbers = itertools.count(1)

    def check(self, request: Request, body: Json) -> None:
        bearer(request)
        unknown = sorted(set(body) - _FIELDS - self._also)
        if unknown:
            said = f"Unrecognized request argument supplied: {', '.join(unknown)}"
            raise Refused(400, said)
        if not isinstance(body.get("model"), str):
            raise Refused(400, "you must provide a model parameter")
        if not isinstance(body.get("messages"), list) or not body["messages"]:
            raise Refused(400, "Invalid 'messages': empty array.", param="messages")
        self._check_limits(body)
        _check_tools(body)
        for index, message in enumerate(body["messages"]):
            _check_message(message, f"messages[{index}]", self._also)
        _check_pairs(body["messages"])

    def _check_limits(self, body: Json) -> None:
        check_tier(body)
        reasons = _REASONING_MODEL.match(body["model"])
        if reasons and "max_tokens" in body:
            said = (
                "Unsupported parameter: 'max_tokens' is not supported with this model."
                " Use 'max_completion_tokens' instead."
            )
            raise Refused(400, said, param="max_tokens", code="unsupported_parameter")
        for name in ("max_tokens", "max_completion_tokens"):
            _check_count(name, body.get(name), self._most_tokens)
        if reasons and body.get("temperature", 1) != 1:
            said = (
                "Unsupported value: 'temperature' does not support this value with this model."
                " Only the default (1) value is supported."
            )
            raise Refused(400, said, param="temperature", code="unsupported_value")
        if len(str(body.get("user") or "")) > _USER_LENGTH:
            said = f"Invalid 'user': string too long. Expected at most {_USER_LENGTH} characters."
            raise Refused(400, said, param="user", code="string_above_max_length")
        stop = body.get("stop")
        if isinstance(stop, list) and len(stop) > _MOST_STOPS:
            said = f"Invalid 'stop': array too long. Expected at most {_MOST_STOPS} items."
            raise Refused(400, said, param="stop", code="array_above_max_length")
        if body.get("metadata") and not body.get("store"):
            said = "The 'metadata' parameter is only allowed when 'store' is enabled."
            raise Refused(400, said, param="metadata")

    def asked(self, body: Json) -> Asked:
        functions = [tool["function"] for tool in body.get("tools") or ()]
        tools = [(f["name"], f.get("parameters") or {}) for f in functions]
        if body.get("tool_choice") == "none":
            tools = []
        last = body["messages"][-1]
        said = _text(last.get("content"))
        return Asked(tools, said, said if last["role"] == "tool" else None)

    def streams(self, request: Request, body: Json) -> bool:
        return bool(body.get("stream"))

    def events(self, reply: Reply, body: Json) -> Iterator[bytes]:
        number = next(self._numbers)
        counted = self._counts or (body.get("stream_options") or {}).get("include_usage")
        for delta, finish in self._deltas(reply, number):
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            yield sse(self._chunk(body, number, [choice], {"usage": None} if counted else {}))
        if counted:
            yield sse(self._chunk(body, number, [], {"usage": _usage(reply)}))
        yield b"data: [DONE]\n\n"

    def _deltas(self, reply: Reply, number: int) -> Iterator[tuple[Json, str | None]]:
        yield {"role": "assistant", "content": "" if reply.text else None, "refusal": None}, None
        for piece in pieces(reply.thinking) if self._reasoning else ():
            yield {str(self._reasoning): piece}, None
        for piece in pieces(reply.text):
            yield {"content": piece}, None
        for delta in _call_deltas(reply, number):
            yield {"tool_calls": delta}, None
        yield {}, _finish(reply)

    def _chunk(self, body: Json, number: int, choices: list[Json], more: Json) -> Json:
        return {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion.chunk",
            "created": 1_750_000_000,
            "model": body["model"],
            "service_tier": "default",
            "system_fingerprint": None,
            "choices": choices,
            **more,
        }

    def whole(self, reply: Reply, body: Json) -> Json:
        number = next(self._numbers)
        message: Json = {"role": "assistant", "content": reply.text or None, "refusal": None}
        if reply.calls:
            message["tool_calls"] = [_call(c, number, i) for i, c in enumerate(reply.calls)]
        if self._reasoning and reply.thinking:
            message[self._reasoning] = reply.thinking
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(reply)}
        answer = self._chunk(body, number, [choice], {"usage": _usage(reply)})
        return answer | {"object": "chat.completion"}

    def error(self, status: int, message: str, **detail: Any) -> Json:
        return error_body(status, message, **detail)

    def late_error(self, message: str) -> bytes:
        return sse(error_body(500, message))


def _check_count(name: str, count: object, most: int | None) -> None:
    if count is None:
        return
    if not isinstance(count, int) or count < 1:
        said = f"Invalid '{name}': integer below minimum value. Expected a value >= 1."
        raise Refused(400, said, param=name, code="integer_below_min_value")
    if most is not None and count > most:
        said = (
            f"{name} is too large: {count}. This model supports at most {most} completion tokens,"
            f" whereas you provided {count}."
        )
        raise Refused(400, said, param=name, code="invalid_value")


def _check_tools(body: Json) -> None:
    tools = body.get("tools")
    if tools == []:
        raise Refused(400, "Invalid 'tools': empty array.", param="tools", code="empty_array")
    if tools and len(tools) > _MOST_TOOLS:
        said = (
            f"Invalid 'tools': array too long. Expected an array with maximum length {_MOST_TOOLS},"
            f" but got an array with length {len(tools)} instead."
        )
        raise Refused(400, said, param="tools", code="array_above_max_length")
    for index, tool in enumerate(tools or ()):
        where = f"tools[{index}]"
        no_unknown(tool, ("type", "function"), where)
        if tool.get("type") != "function":
            raise Refused(400, f"Invalid value: '{tool.get('type')}'.", param=f"{where}.type")
        function = tool.get("function") or {}
        no_unknown(function, ("name", "description", "parameters", "strict"), f"{where}.function")
        _check_name(function.get("name"), f"{where}.function.name")
        check_schema(function.get("name"), function.get("parameters"), f"{where}.function")
    _check_choice(body, [t["function"]["name"] for t in tools or ()])


def _check_choice(body: Json, names: list[str]) -> None:
    choice = body.get("tool_choice")
    if not names:
        for field in ("tool_choice", "parallel_tool_calls"):
            if body.get(field) is not None:
                said = f"Invalid value for '{field}': '{field}' is only allowed when 'tools' are specified."
                raise Refused(400, said, param=field)
    if isinstance(choice, dict):
        wanted = (choice.get("function") or {}).get("name")
        if choice.get("type") != "function" or wanted not in names:
            raise Refused(400, f"Tool choice '{wanted}' not found in 'tools'.", param="tool_choice")
    elif choice not in (None, "none", "auto", "required"):
        raise Refused(400, f"Invalid value: '{choice}'.", param="tool_choice")


def _check_name(name: object, where: str) -> None:
    if not isinstance(name, str) or not FUNCTION_NAME.fullmatch(name):
        said = (
            f"Invalid '{where}': string does not match pattern."
            " Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
        )
        raise Refused(400, said, param=where, code="invalid_value")


def _check_message(message: Json, where: str, also: frozenset[str]) -> None:
    role = message.get("role")
    if role not in _MESSAGE:
        known = ", ".join(f"'{name}'" for name in _MESSAGE)
        said = f"Invalid value: '{role}'. Supported values are: {known}."
        raise Refused(400, said, param=f"{where}.role", code="invalid_value")
    no_unknown(message, _MESSAGE[role] | also, where)
    _check_content(message, role, where)
    for index, call in enumerate(message.get("tool_calls") or ()):
        _check_call(call, f"{where}.tool_calls[{index}]")


def _check_content(message: Json, role: str, where: str) -> None:
    content = message.get("content")
    if content is None and not (role == "assistant" and message.get("tool_calls")):
        said = f"Invalid value for 'content': expected a string, got null. ({where}.content)"
        raise Refused(400, said, param=f"{where}.content")
    if isinstance(content, str) or content is None:
        return
    if not isinstance(content, list) or not content:
        raise Refused(400, f"Invalid '{where}.content'.", param=f"{where}.content")
    for index, part in enumerate(content):
        _check_part(part, role, f"{where}.content[{index}]")


def _check_part(part: Json, role: str, where: str) -> None:
    kind = part.get("type")
    if kind not in _PARTS[role]:
        said = f"Invalid value: '{kind}'. Supported values are: {_PARTS[role]} for role '{role}'."
        raise Refused(400, said, param=f"{where}.type", code="invalid_value")
    no_unknown(part, ("type", str(kind)), where)
    if kind == "image_url":
        image = part["image_url"]
        if not isinstance(image, dict):
            raise Refused(400, f"Invalid type for '{where}.image_url'.", param=where)
        no_unknown(image, ("url", "detail"), f"{where}.image_url")
        check_image_url(image.get("url"), f"{where}.image_url.url")


def _check_call(call: Json, where: str) -> None:
    no_unknown(call, ("id", "type", "function", "index"), where)
    identity, function = call.get("id"), call.get("function") or {}
    if not isinstance(identity, str) or not 0 < len(identity) <= _ID_LENGTH:
        said = f"Invalid '{where}.id': expected 1 to {_ID_LENGTH} characters, got {identity!r}."
        raise Refused(400, said, param=f"{where}.id", code="string_above_max_length")
    no_unknown(function, ("name", "arguments"), f"{where}.function")
    _check_name(function.get("name"), f"{where}.function.name")
    if not isinstance(function.get("arguments"), str):
        raise Refused(400, f"Invalid type for '{where}.function.arguments'.", param=where)


def _check_pairs(messages: list[Json]) -> None:
    """Calls are answered right behind them, and nothing else is answered."""
    waiting: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            identity = message.get("tool_call_id")
            if identity not in waiting:
                said = (
                    "Invalid parameter: messages with role 'tool' must be a response to a"
                    " preceeding message with 'tool_calls'."
                )
                raise Refused(400, said, param=f"messages.[{index}].role")
            waiting.remove(identity)
            continue
        _all_answered(waiting)
        waiting = [call["id"] for call in message.get("tool_calls") or ()]
    _all_answered(waiting)


def _all_answered(waiting: list[str]) -> None:
    if waiting:
        said = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding"
            " to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
        )
        raise Refused(400, said + ", ".join(waiting), param="messages")


def _text(content: object) -> str:
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return str(content or "")


def _call(call: Call, number: int, index: int) -> Json:
    function = {"name": call.name, "arguments": json.dumps(call.arguments)}
    return {"id": f"call_{number}x{index}", "type": "function", "function": function}


def _call_deltas(reply: Reply, number: int) -> Iterator[list[Json]]:
    made = [{"index": i, **_call(call, number, i)} for i, call in enumerate(reply.calls)]
    if reply.calls_come == "together":
        yield made
        return
    stories = [_call_story(call) for call in made]
    if reply.calls_come == "interleaved":
        for turn in itertools.zip_longest(*stories):
            yield from ([delta] for delta in turn if delta is not None)
        return
    for story in stories:
        yield from ([delta] for delta in story)


def _call_story(call: Json) -> list[Json]:
    """First its name, then its arguments in pieces."""
    opened = {**call, "function": {**call["function"], "arguments": ""}}
    arguments = pieces(call["function"]["arguments"])
    index = call["index"]
    return [opened, *({"index": index, "function": {"arguments": piece}} for piece in arguments)]


def _finish(reply: Reply) -> str:
    calls = reply.calls and reply.finish == "stop" and not reply.says_stop
    return "tool_calls" if calls else _FINISH[reply.finish]


def _usage(reply: Reply) -> Json:
    given, made = reply.tokens
    return {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
