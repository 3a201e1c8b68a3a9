"""Is this a stream of Anthropic Messages events that any client of theirs can read?

Written from https://platform.claude.com/docs/en/build-with-claude/streaming and the types of the
official SDK, and from nothing of ours: what the product writes is judged here.

    message = validate(response.content)
    assert message.text == "hello"
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Never

Json = dict[str, Any]

STOP_REASONS = frozenset(
    {
        "end_turn",
        "max_tokens",
        "stop_sequence",
        "tool_use",
        "pause_turn",
        "refusal",
        "model_context_window_exceeded",
    }
)
ERROR_TYPES = frozenset(
    {
        "invalid_request_error",
        "authentication_error",
        "billing_error",
        "permission_error",
        "not_found_error",
        "request_too_large",
        "rate_limit_error",
        "timeout_error",
        "api_error",
        "overloaded_error",
    }
)
_BREAKS_OFF = frozenset({"max_tokens", "refusal", "model_context_window_exceeded"})
"""Reasons that may end a message within a tool's input."""
_DELTAS: dict[str, dict[str, str]] = {
    "text": {"text_delta": "text", "citations_delta": "citation"},
    "thinking": {"thinking_delta": "thinking", "signature_delta": "signature"},
    "tool_use": {"input_json_delta": "partial_json"},
    "server_tool_use": {"input_json_delta": "partial_json"},
    "redacted_thinking": {},
    "container_upload": {},
}
"""For each type of block, the deltas it takes and the field of each that holds the news."""
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


class BrokenStream(AssertionError):
    """Says which rule is broken, and at which event (counted from 1)."""


@dataclass
class Message:
    """What a client has in its hands at the end."""

    id: str = ""
    model: str = ""
    content: list[Json] = field(default_factory=list)
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Json = field(default_factory=dict)
    error: Json | None = None
    """`{"type", "message"}` of an error that ended the stream."""
    events: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(b["text"] for b in self.content if b["type"] == "text")

    @property
    def thinking(self) -> str:
        return "".join(b["thinking"] for b in self.content if b["type"] == "thinking")

    @property
    def tool_uses(self) -> list[Json]:
        return [b for b in self.content if b["type"] == "tool_use"]


def validate(body: bytes, *, allow_error: bool = False, allow_empty: bool = False) -> Message:
    """The message that the stream holds; `BrokenStream` if it breaks a rule.

    `allow_error`: an `error` event may stand in the place of the ending. `allow_empty`: text blocks
    without text and unsigned thinking blocks without thinking are let pass, which the API refuses
    when they come back in the next turn.
    """
    stream = _Stream(allow_error, allow_empty)
    for name, data in _events(body):
        stream.feed(name, data)
    return stream.end()


def _events(body: bytes) -> Iterator[tuple[str, str]]:
    """Name and data of each event; comments are passed over."""
    try:
        text = body.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as e:
        raise BrokenStream(f"the stream is not UTF-8: {e}") from e
    *parts, rest = text.split("\n\n")
    if rest.strip("\n"):
        raise BrokenStream(f"the stream ends within an event: {rest[-80:]!r}")
    for number, part in enumerate(parts, 1):
        lines = [line for line in part.strip("\n").split("\n") if not line.startswith(":")]
        if lines and lines != [""]:
            yield _fields(lines, number)


def _fields(lines: list[str], number: int) -> tuple[str, str]:
    values: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or name not in ("event", "data") or name in values:
            raise BrokenStream(f"part {number}: unexpected line in an event: {line[:80]!r}")
        values[name] = value.removeprefix(" ")
    if len(values) != 2:
        raise BrokenStream(f"part {number}: an event needs both `event:` and `data:`: {lines}")
    return values["event"], values["data"]


class _Stream:
    """The rules; one method an event."""

    def __init__(self, allow_error: bool, allow_empty: bool) -> None:
        self.message = Message()
        self._allow_error = allow_error
        self._allow_empty = allow_empty
        self._open: Json | None = None
        self._json: list[str] = []  # parts of the open block's input
        self._half: int | None = None  # index of a block whose input is no whole JSON
        self._started = self._stopped = False
        self._event = ""

    def feed(self, name: str, data: str) -> None:
        self.message.events.append(name)
        self._event = f"event {len(self.message.events)} ({name})"
        event = self._parsed(data)
        self._must(event.get("type") == name, f"type in the data is {event.get('type')!r}")
        self._must(not self._stopped, "nothing may follow the end of the message")
        self._must(self.message.error is None, "nothing may follow an error")
        if name == "ping":
            return
        handle = getattr(self, f"_{name}", None)
        if name not in _EVENTS or handle is None:
            self._fail("unknown event")
        if name not in ("message_start", "error"):
            self._must(self._started, "comes before message_start")
        handle(event)

    def end(self) -> Message:
        self._event = f"after {len(self.message.events)} events"
        if self.message.error is None:
            self._must(self._stopped, "the stream ended without message_stop")
        return self.message

    def _message_start(self, event: Json) -> None:
        self._must(not self._started, "a second message_start")
        self._started = True
        message = self._object(event, "message")
        self._must(message.get("type") == "message", f"message.type is {message.get('type')!r}")
        self._must(message.get("role") == "assistant", f"role is {message.get('role')!r}")
        self._must(message.get("content") == [], "content must be empty at the start")
        self._must(message.get("stop_reason") is None, "stop_reason is set at the start")
        self.message.id = self._string(message, "id")
        self.message.model = self._string(message, "model")
        self._usage(message, "input_tokens", "output_tokens")

    def _content_block_start(self, event: Json) -> None:
        self._must(self.message.stop_reason is None, "a block after message_delta")
        self._must(self._open is None, "the block before is still open")
        expected, index = len(self.message.content), event.get("index")
        self._must(index == expected, f"index is {index!r}, expected {expected}")
        block = self._object(event, "content_block")
        kind = self._string(block, "type")
        known = kind in _DELTAS or kind.endswith("_tool_result")
        self._must(known, f"unknown type of block {kind!r}")
        if kind in ("text", "thinking"):
            self._must(block.get(kind) == "", f"{kind} starts with {block.get(kind)!r}, not empty")
        if kind in ("tool_use", "server_tool_use"):
            self._tool(block)
        self._open, self._json = dict(block), []
        self.message.content.append(self._open)

    def _tool(self, block: Json) -> None:
        identity, name = self._string(block, "id"), self._string(block, "name")
        self._must(_ID.fullmatch(identity) is not None, f"tool id {identity!r} is malformed")
        taken = identity in [b.get("id") for b in self.message.content]
        self._must(not taken, f"tool id {identity!r} is used twice")
        self._must(_NAME.fullmatch(name) is not None, f"tool name {name!r} is malformed")
        self._must(block.get("input") == {}, "a tool's input must be {} at the start")

    def _content_block_delta(self, event: Json) -> None:
        block = self._block(event)
        delta = self._object(event, "delta")
        kind = self._string(delta, "type")
        takes = _DELTAS.get(block["type"], {})
        self._must(kind in takes, f"a {block['type']} block takes no {kind}")
        news = delta.get(takes[kind])
        if kind == "citations_delta":
            block.setdefault("citations", []).append(news)
            return
        if not isinstance(news, str):
            self._fail(f"{takes[kind]} is {news!r}, not a string")
        if kind == "input_json_delta":
            self._json.append(news)
            return
        late = kind == "thinking_delta" and bool(block.get("signature"))
        self._must(not late, "thinking after its signature")
        block[takes[kind]] = block.get(takes[kind], "") + news

    def _content_block_stop(self, event: Json) -> None:
        block = self._block(event)
        self._open = None
        if block["type"] in ("tool_use", "server_tool_use"):
            block["input"] = self._input(len(self.message.content) - 1)
        if self._allow_empty:
            return
        self._must(block["type"] != "text" or block["text"] != "", "an empty text block")
        empty = block["type"] == "thinking" and not (block["thinking"] or block.get("signature"))
        self._must(not empty, "an empty thinking block without a signature")

    def _input(self, index: int) -> Json:
        """The tool's input; an input that breaks off is judged when the reason is known."""
        self._must(self._half is None, "a block behind one whose input is no JSON")
        try:
            value = json.loads("".join(self._json) or "{}")
        except ValueError:
            self._half = index
            return {}
        if not isinstance(value, dict):
            self._fail(f"a tool's input is {value!r}, not an object")
        return value

    def _message_delta(self, event: Json) -> None:
        self._must(self._open is None, "a block is still open")
        delta = self._object(event, "delta")
        self._usage(event, "output_tokens")
        reason = delta.get("stop_reason", self.message.stop_reason)
        self._must(reason in STOP_REASONS, f"unknown stop_reason {reason!r}")
        sequence = delta.get("stop_sequence")
        named = isinstance(sequence, str) if reason == "stop_sequence" else sequence is None
        self._must(named, f"stop_sequence is {sequence!r} where stop_reason is {reason!r}")
        self.message.stop_reason, self.message.stop_sequence = reason, sequence
        self._agrees(reason)

    def _agrees(self, reason: object) -> None:
        """`tool_use` if a tool is called; and only what breaks a message off leaves half a call."""
        if self.message.tool_uses:
            fits = reason == "tool_use" or reason in _BREAKS_OFF
            self._must(fits, f"stop_reason is {reason!r} where a tool is called")
        else:
            self._must(reason != "tool_use", "stop_reason is tool_use where no tool is called")
        whole = self._half is None or reason in _BREAKS_OFF
        self._must(whole, f"the input of block {self._half} is no JSON")

    def _message_stop(self, event: Json) -> None:
        self._must(self.message.stop_reason is not None, "message_stop without message_delta")
        self._stopped = True

    def _error(self, event: Json) -> None:
        self._must(self._allow_error, f"an error: {event.get('error')}")
        error = self._object(event, "error")
        kind = self._string(error, "type")
        self._must(kind in ERROR_TYPES, f"unknown type of error {kind!r}")
        self._string(error, "message")
        self.message.error = error

    def _block(self, event: Json) -> Json:
        if self._open is None:
            self._fail("no block is open")
        expected, index = len(self.message.content) - 1, event.get("index")
        self._must(index == expected, f"index is {index!r}, but block {expected} is open")
        return self._open

    def _usage(self, parent: Json, *needed: str) -> None:
        usage = self._object(parent, "usage")
        for key in needed:
            self._must(key in usage, f"usage has no {key}")
        for key in (k for k in usage if k.endswith("_tokens")):
            count = usage[key]
            if count is None and key not in needed:
                continue
            sound = isinstance(count, int) and not isinstance(count, bool) and count >= 0
            self._must(sound, f"usage.{key} is {count!r}")
        self.message.usage |= {k: v for k, v in usage.items() if v is not None}

    def _parsed(self, data: str) -> Json:
        try:
            event = json.loads(data)
        except ValueError:
            self._fail(f"the data is no JSON: {data[:80]!r}")
        if not isinstance(event, dict):
            self._fail(f"the data is no object: {data[:80]!r}")
        return event

    def _object(self, parent: Json, key: str) -> Json:
        value = parent.get(key)
        if not isinstance(value, dict):
            self._fail(f"{key} is {value!r}, not an object")
        return value

    def _string(self, parent: Json, key: str) -> str:
        value = parent.get(key)
        if not isinstance(value, str) or not value:
            self._fail(f"{key} is {value!r}, not a string with something in it")
        return value

    def _must(self, rule: bool, otherwise: str) -> None:
        if not rule:
            self._fail(otherwise)

    def _fail(self, why: str) -> Never:
        raise BrokenStream(f"{self._event}: {why}")


_EVENTS = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    }
)
