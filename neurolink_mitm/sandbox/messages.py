"""
A request to the Messages API: parsed as far as the answer needs, refused as Anthropic refuses it.

https://docs.anthropic.com/en/api/messages
"""

import re
from typing import Any, Literal, TypeVar

import msgspec

from neurolink_mitm.core.unreadable import UNREADABLE
from neurolink_mitm.sandbox.errors import ApiError

REMINDER, ENDED = "<system-reminder>", "</system-reminder>"
TOOL_WORD = re.compile(r"\btools?\b", re.IGNORECASE)
MISSING = re.compile(r"Object missing required field `(\w+)`")


def without_reminders(text: str) -> str:
    """What the user has written; of a reminder without an end nobody knows."""
    kept, at = [], 0
    while (begin := text.find(REMINDER, at)) >= 0 and (end := text.find(ENDED, begin)) >= 0:
        kept.append(text[at:begin])
        at = end + len(ENDED)
    return "".join((*kept, text[at:]))


class Turn(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: msgspec.Raw  # a long conversation is stepped over, not read


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


class CountRequest(msgspec.Struct):
    """Of `/v1/messages/count_tokens`: the same without a limit."""

    model: str
    messages: list[Turn]
    tools: list[Tool] = []
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None


class MessagesRequest(CountRequest, kw_only=True):
    max_tokens: int
    stream: bool = False


_messages = msgspec.json.Decoder(MessagesRequest)
_count = msgspec.json.Decoder(CountRequest)
_content: msgspec.json.Decoder[str | list[Block]] = msgspec.json.Decoder(str | list[Block])

_R = TypeVar("_R", bound=CountRequest)


def parse_messages(body: bytes) -> MessagesRequest:
    """Raises ApiError."""
    request = _parse(_messages, body)
    if request.max_tokens < 1:
        raise ApiError(400, "max_tokens: must be greater than or equal to 1")
    return request


def parse_count(body: bytes) -> CountRequest:
    """Raises ApiError."""
    return _parse(_count, body)


def asked_tool(request: CountRequest) -> Tool | None:
    """The tool to call: the one that is forced, or the first if the user speaks of a tool."""
    choice = request.tool_choice
    if choice is not None and choice.type == "tool":
        return next((tool for tool in request.tools if tool.name == choice.name), None)
    if not request.tools or (choice is not None and choice.type == "none"):
        return None
    forced = choice is not None and choice.type == "any"
    return request.tools[0] if forced or TOOL_WORD.search(last_user_text(request)) else None


def last_user_text(request: CountRequest) -> str:
    """Empty if the last message is a tool's result, or the assistant's."""
    turn = _last_turn(request)
    content = _content.decode(turn.content)
    if turn.role != "user":
        return ""
    if isinstance(content, str):
        return content
    if any(block.type == "tool_result" for block in content):
        return ""
    # Claude Code's reminders stand beside the user's words, and speak of tools all the time
    texts = [without_reminders(block.text).strip() for block in content]
    return next((text for text in reversed(texts) if text), "")


def thinks(request: CountRequest) -> bool:
    return request.thinking is not None and request.thinking.type != "disabled"


def _last_turn(request: CountRequest) -> Turn:
    # Claude Code puts what the system has to say behind the user's message
    said = (turn for turn in reversed(request.messages) if turn.role != "system")
    return next(said, request.messages[-1])


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
    """msgspec's words in Anthropic's order: `messages.0.role: Field required`."""
    what, _, at = message.partition(" - at `$")
    path = at.rstrip("`").strip(".").replace("[", ".").replace("]", "").strip(".")
    if field := MISSING.fullmatch(what):
        path, what = f"{path}.{field[1]}".strip("."), "Field required"
    return f"{path}: {what}" if path else what
