"""A request to the Messages API: parsed as far as the response needs it, refused like Anthropic does.

https://docs.anthropic.com/en/api/messages
"""

import re
from typing import Any, Literal, TypeVar

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.sandbox.errors import ApiError

REMINDER, ENDED = "<system-reminder>", "</system-reminder>"
TOOL_WORD = re.compile(r"\btools?\b", re.IGNORECASE)
JSON_ONLY = b"Answer with JSON and nothing else"
"""What NeuroLink adds to the prompt for a client of OpenAI's API that asks for any JSON."""
MISSING = re.compile(r"Object missing required field `(\w+)`")


def without_reminders(text: str) -> str:
    """Return the text without Claude Code's reminders; one without an end stays."""
    parts, at = [], 0
    while (begin := text.find(REMINDER, at)) >= 0 and (end := text.find(ENDED, begin)) >= 0:
        parts.append(text[at:begin])
        at = end + len(ENDED)
    return "".join((*parts, text[at:]))


class Turn(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: msgspec.Raw  # not decoded: a long conversation would take time


class Block(msgspec.Struct):
    type: str
    text: str = ""


class Thinking(msgspec.Struct):
    type: Literal["enabled", "adaptive", "disabled"]


class Tool(msgspec.Struct):
    name: str
    input_schema: dict[str, Any] = {}


class ToolChoice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None


class Format(msgspec.Struct):
    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(msgspec.Struct):
    format: Format | None = None


class CountRequest(msgspec.Struct):
    """A request to `/v1/messages/count_tokens`: without `max_tokens`."""

    model: str
    messages: list[Turn]
    tools: list[Tool] = []
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None


class MessagesRequest(CountRequest, kw_only=True):
    """A request to `/v1/messages`."""

    max_tokens: int
    stream: bool = False
    system: msgspec.Raw = msgspec.Raw()
    output_config: OutputConfig | None = None


_messages = msgspec.json.Decoder(MessagesRequest)
_count = msgspec.json.Decoder(CountRequest)
_content: msgspec.json.Decoder[str | list[Block]] = msgspec.json.Decoder(str | list[Block])

_R = TypeVar("_R", bound=CountRequest)


def parse_messages(body: bytes) -> MessagesRequest:
    """Parse and check a request to `/v1/messages`. Raises ApiError."""
    request = _parse(_messages, body)
    if request.max_tokens < 1:
        raise ApiError(400, "max_tokens: must be greater than or equal to 1")
    return request


def parse_count(body: bytes) -> CountRequest:
    """Parse and check a request to `/v1/messages/count_tokens`. Raises ApiError."""
    return _parse(_count, body)


def asked_tool(request: CountRequest) -> Tool | None:
    """Return the tool to call: the forced one, or the first one if the user mentions a tool."""
    choice = request.tool_choice
    if choice is not None and choice.type == "tool":
        return next((tool for tool in request.tools if tool.name == choice.name), None)
    if not request.tools or (choice is not None and choice.type == "none"):
        return None
    forced = choice is not None and choice.type == "any"
    return request.tools[0] if forced or TOOL_WORD.search(last_user_text(request)) else None


def last_user_text(request: CountRequest) -> str:
    """Return the user's last text; empty if the last message is a tool result, or the assistant's."""
    turn = _last_turn(request)
    content = _content.decode(turn.content)
    if turn.role != "user":
        return ""
    if isinstance(content, str):
        return content
    if any(block.type == "tool_result" for block in content):
        return ""
    # Claude Code's reminders, beside the user's text, often mention tools
    texts = [without_reminders(block.text).strip() for block in content]
    return next((text for text in reversed(texts) if text), "")


def asked_json(request: MessagesRequest) -> dict[str, Any] | None:
    """Return the schema of the answer, where it has to be JSON: an empty one where only the prompt says so."""
    if request.output_config and request.output_config.format:
        return request.output_config.format.schema
    return {} if JSON_ONLY in bytes(request.system) else None


def thinks(request: CountRequest) -> bool:
    return request.thinking is not None and request.thinking.type != "disabled"


def _last_turn(request: CountRequest) -> Turn:
    # Claude Code puts system messages behind the user's
    turns = (turn for turn in reversed(request.messages) if turn.role != "system")
    return next(turns, request.messages[-1])


def _parse(decoder: msgspec.json.Decoder[_R], body: bytes) -> _R:
    try:
        request = decoder.decode(body)
        if request.messages:
            _content.decode(_last_turn(request).content)
    except msgspec.ValidationError as e:
        raise ApiError(400, _worded(str(e))) from e
    except UNREADABLE as e:
        raise ApiError(400, f"The request body is not valid JSON: {e}") from e
    _check(request)
    return request


def _check(request: CountRequest) -> None:
    if not request.messages:
        raise ApiError(400, "messages: at least one message is required")
    if not request.model.startswith("claude-"):
        raise ApiError(404, f"model: {request.model}")
    choice = request.tool_choice
    if choice is not None and choice.type == "tool" and asked_tool(request) is None:
        raise ApiError(400, f"tool_choice: Tool {choice.name!r} not found in provided tools")


def _worded(message: str) -> str:
    """Return msgspec's message in Anthropic's form: `messages.0.role: Field required`."""
    what, _, at = message.partition(" - at `$")
    path = at.rstrip("`").strip(".").replace("[", ".").replace("]", "").strip(".")
    if field := MISSING.fullmatch(what):
        path, what = f"{path}.{field[1]}".strip("."), "Field required"
    return f"{path}: {what}" if path else what
