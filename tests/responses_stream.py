"""Is this a stream of OpenAI's Responses API that any client of theirs can read?

Written from https://platform.openai.com/docs/api-reference/responses-streaming, OpenAI's published schema and what
openai-python and Codex do with the events; from nothing of ours: what the product writes is judged here.

    response = validate(body)
    assert response.text == "hello"
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.openai_schema import validate_event

Json = dict[str, Any]

_ENDS = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
}
_TEXTS = {
    "response.output_text": ("text", "content_index"),
    "response.refusal": ("refusal", "content_index"),
    "response.reasoning_summary_text": ("text", "summary_index"),
    "response.function_call_arguments": ("arguments", ""),
    "response.custom_tool_call_input": ("input", ""),
}
"""For each kind of text: the member of its `done` event that has all of it, and the index of its part."""
_PARTS = {"response.content_part": "content", "response.reasoning_summary_part": "summary"}


@dataclass
class Response:
    """What a client has in its hands at the end."""

    body: Json = field(default_factory=dict)
    """The response object of the last event."""
    events: list[Json] = field(default_factory=list)
    error: Json | None = None
    comments: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [event["type"] for event in self.events]

    @property
    def output(self) -> list[Json]:
        output: list[Json] = self.body["output"]
        return output

    @property
    def text(self) -> str:
        parts = [p for item in self.output if item["type"] == "message" for p in item["content"]]
        return "".join(part["text"] for part in parts if part["type"] == "output_text")


def validate(body: bytes, *, by_schema: bool = True) -> Response:
    """Return the response that the stream holds; an `AssertionError` names the rule that it breaks."""
    stream = _Stream()
    for name, data in _events(body, stream.response):
        event = json.loads(data)
        assert event["type"] == name, f"`event: {name}`, but type {event['type']!r}"
        if by_schema:
            validate_event(event)
        stream.feed(event)
    assert stream.ended, "the stream has no end"
    return stream.response


def _events(body: bytes, response: Response) -> Iterator[tuple[str, str]]:
    *blocks, rest = body.decode().split("\n\n")
    assert rest == "", f"the last event is not complete: {rest[:80]!r}"
    for block in blocks:
        if block.startswith(":"):
            response.comments.append(block)
            continue
        event, data = block.split("\n")  # an event is two lines, and the data is one
        assert (event[:7], data[:6]) == ("event: ", "data: "), block[:80]
        yield event[7:], data[6:]


class _Stream:
    def __init__(self) -> None:
        self.response = Response()
        self.ended = False
        self._items: list[Json] = []
        self._texts: dict[tuple[str, int, int], str] = {}
        self._open: int | None = None
        self._parts: set[tuple[str, int]] = set()
        """Parts that have begun and not ended."""

    def feed(self, event: Json) -> None:
        assert not self.ended, f"an event behind the end: {event['type']}"
        number = event["sequence_number"]
        assert number == len(self.response.events), f"number {number} at {event['type']}"
        first = ("response.created", "response.in_progress")
        if number < len(first):
            assert event["type"] == first[number], f"event {number} is {event['type']}"
        self.response.events.append(event)
        self._see(event, event["type"])

    def _see(self, event: Json, kind: str) -> None:
        name, _, stage = kind.rpartition(".")
        if "response" in event:
            self._see_response(event["response"], kind)
        elif kind == "error":
            self.response.error = event
        elif name == "response.output_item":
            self._see_item(event, stage)
        else:
            item = self._items[event["output_index"]]
            assert event["output_index"] == self._open, f"{kind} of an item that is not open"
            assert event["item_id"] == item["id"], f"{kind} has the id of another item"
            if name in _PARTS:
                self._see_part(event, _PARTS[name], stage)
            else:
                self._see_text(event, name, stage)

    def _see_response(self, response: Json, kind: str) -> None:
        before = self.response.body
        for member in ("id", "created_at", "model", "tools", "instructions"):
            assert not before or before[member] == response[member], f"{member} changes"
        self.response.body = response
        assert response["status"] == _ENDS.get(kind, "in_progress")
        self.ended = kind in _ENDS
        if kind in _ENDS and kind != "response.failed":
            assert self._open is None or kind == "response.incomplete", "an item is open at the end"
            whole = [item for item in self._items if item.get("status") != "in_progress"]
            assert response["output"] == whole, "the output is not what has streamed"
            assert response["usage"], "no usage"

    def _see_item(self, event: Json, stage: str) -> None:
        item, index = event["item"], event["output_index"]
        if stage == "added":
            assert self._open is None, "an item begins within another"
            assert index == len(self._items), f"item {index} is not the next one"
            assert item["id"] not in [i["id"] for i in self._items], "an id comes again"
            self._items.append(item)
            self._open = index
            return
        added = self._items[index]
        assert index == self._open, "the item that ends is not open"
        assert not self._parts, "an item ends before its parts"
        for member in ("id", "type", "call_id", "name", "namespace"):
            assert added.get(member) == item.get(member), f"{member} of an item changes"
        for (name, at, part), text in self._texts.items():
            if at == index:
                assert _text_of(item, name, part) == text, f"{name} is not what has streamed"
        self._items[index] = item
        self._open = None

    def _see_part(self, event: Json, member: str, stage: str) -> None:
        index = event["content_index" if member == "content" else "summary_index"]
        if stage == "added":
            assert (member, index) not in self._parts
            self._parts.add((member, index))
        else:
            self._parts.remove((member, index))

    def _see_text(self, event: Json, name: str, stage: str) -> None:
        member, part = _TEXTS[name]
        key = (name, event["output_index"], event[part] if part else 0)
        if part:
            assert (part.removesuffix("_index"), key[2]) in self._parts, f"{name} outside of a part"
        if stage == "delta":
            assert event["delta"], "an empty delta"
            self._texts[key] = self._texts.get(key, "") + event["delta"]
        else:
            assert event[member] == self._texts.get(key, ""), f"{name} is not what has streamed"


def _text_of(item: Json, name: str, part: int) -> str:
    member, index = _TEXTS[name]
    where = item[index.removesuffix("_index")][part] if index else item
    text: str = where[member]
    return text
