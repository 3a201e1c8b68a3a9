"""The response object: what the request asked for, what came of it.

https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.openai.errors import OpenAiError
from neurolink_mitm.core.response.usage import TokenUsage

_NULL = b"null"
_DEFAULTS = {
    "background": b"false",
    "instructions": _NULL,
    "max_output_tokens": _NULL,
    "max_tool_calls": _NULL,
    "metadata": b"{}",
    "parallel_tool_calls": b"true",
    "previous_response_id": _NULL,
    "reasoning": b'{"effort":null,"summary":null}',
    "store": b"true",
    "temperature": b"1.0",
    "text": b"{}",
    "tool_choice": b'"auto"',
    "tools": b"[]",
    "top_logprobs": b"0",
    "top_p": b"1.0",
    "truncation": b'"disabled"',
}
"""OpenAI's, by the name of the member. Members without one are left out."""
_USAGE = (
    b'{"input_tokens":%d,"input_tokens_details":{"cached_tokens":%d,"cache_write_tokens":%d},"output_tokens":%d,'
    b'"output_tokens_details":{"reasoning_tokens":%d},"total_tokens":%d}'
)


class _Text(msgspec.Struct):
    format: msgspec.Raw = msgspec.Raw(b'{"type":"text"}')
    verbosity: msgspec.Raw = msgspec.Raw(b'"medium"')


_ABSENT = msgspec.Raw()


class _Tool(msgspec.Struct):
    type: str = ""
    parameters: msgspec.Raw = _ABSENT
    strict: msgspec.Raw = _ABSENT


_text = msgspec.json.Decoder(_Text)
_tools = msgspec.json.Decoder(list[_Tool])
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_tool = msgspec.json.Decoder(_Tool)


@dataclass(slots=True)
class Body:
    """Writes the response object as it is at each stage."""

    id: str
    created: int
    model: str
    repeated: bytes
    """`repeated_members` of the request."""
    _head: bytes = b""

    def __post_init__(self) -> None:
        self._head = b'{"id":%b,"object":"response","created_at":%d,"model":%b,"service_tier":"default"' % (
            msgspec.json.encode(self.id), self.created, msgspec.json.encode(self.model)
        )  # fmt: skip

    def item_id(self, prefix: str, number: int) -> bytes:
        """Return the id of an output item."""
        return f"{prefix}_{self.id.removeprefix('resp_')}{number:04x}".encode()

    def at(
        self,
        status: str,
        *,
        output: bytes = b"[]",
        usage: TokenUsage | None = None,
        error: bytes = _NULL,
        incomplete: str | None = None,
    ) -> bytes:
        """Return the object's JSON. `incomplete` is the reason why it is."""
        why = b'{"reason":"%b"}' % incomplete.encode() if incomplete else _NULL
        members = b',"status":"%b","error":%b,"incomplete_details":%b,"output":%b' % (
            status.encode(), error, why, output
        )  # fmt: skip
        counts = b',"usage":%b' % _usage(usage) if usage else b""
        return b"".join((self._head, members, counts, self.repeated, b"}"))


def repeated_members(request: Mapping[str, msgspec.Raw]) -> bytes:
    """Return the members of a request that its response repeats, with OpenAI's defaults, as JSON after a comma.

    A copy, so that the body of the request can be let go of.
    """
    members = {name: bytes(raw) for name, raw in request.items()}
    members = {name: raw for name, raw in members.items() if raw != _NULL}
    members["text"] = _with_defaults(members.get("text", _DEFAULTS["text"]))
    if "tools" in members:
        members["tools"] = _with_nulls(members["tools"])
    return b"".join(
        [b',"%b":%b' % (name.encode(), value) for name, value in (_DEFAULTS | members).items()]
    )


def _usage(usage: TokenUsage) -> bytes:
    read, written = usage.cache_read_tokens or 0, usage.cache_creation_tokens or 0
    read_in = (usage.input_tokens or 0) + read + written  # OpenAI counts those of the cache, too
    output = usage.output_tokens or 0
    return _USAGE % (read_in, read, written, output, usage.thinking_tokens or 0, read_in + output)


def _with_defaults(text: bytes) -> bytes:
    """Return the request's `text` with OpenAI's defaults."""
    try:
        return msgspec.json.encode(_text.decode(text))
    except UNREADABLE:
        return text


def _with_nulls(tools: bytes) -> bytes:
    """Return the request's tools; functions with all members that a response's have."""
    try:
        if not any(map(_missing, _tools.decode(tools))):
            return tools
        return b"[%b]" % b",".join(_with_members(bytes(tool)) for tool in _raws.decode(tools))
    except UNREADABLE:
        return tools


def _with_members(tool: bytes) -> bytes:
    added = [b',"%b":null' % name for name in _missing(_tool.decode(tool))]
    return b"".join((tool[:-1], *added, b"}"))


def _missing(tool: _Tool) -> list[bytes]:
    members = {b"parameters": tool.parameters, b"strict": tool.strict}
    return [name for name, raw in members.items() if tool.type == "function" and raw is _ABSENT]


_INCOMPLETE = {
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "refusal": "content_filter",
}
"""By Anthropic's stop reason."""
_ERROR_CODES = frozenset({"rate_limit_exceeded", "invalid_prompt", "server_error"})
"""Those of OpenAI's that an answer may end in. Codex asks again after `server_error`, but not an overloaded server."""


def incomplete_reason(stop_reason: str | None) -> str | None:
    """Return why a response is incomplete; None for one that is complete."""
    return _INCOMPLETE.get(stop_reason or "")


def response_error(error: OpenAiError) -> bytes:
    """Return the `error` of a response that failed."""
    return msgspec.json.encode({"code": _code(error), "message": error.message})


def error_members(error: OpenAiError) -> bytes:
    """Return the members of an `error` event: the documented ones, and the object that OpenAI really sends.

    https://github.com/openai/openai-dotnet/issues/881. By it openai-python knows that it is an error.
    """
    members = {"message": error.message, "code": _code(error), "param": error.param}
    return msgspec.json.encode({**members, "error": {"type": error.type, **members}})[1:-1]


def _code(error: OpenAiError) -> str:
    return error.code if error.code in _ERROR_CODES else "server_error"


def response_id(request_id: str) -> str:
    """Return the id of the response to a request."""
    return f"resp_{request_id.rpartition('_')[2]}"
