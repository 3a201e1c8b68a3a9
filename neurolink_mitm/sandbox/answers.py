"""The message of a good response: its content blocks, stop reason and usage."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from neurolink_mitm.sandbox.accounts import Reply
from neurolink_mitm.sandbox.history import signature_of
from neurolink_mitm.sandbox.messages import MessagesRequest, asked_json, asked_tool, thinks
from neurolink_mitm.sandbox.schema import example

_HOUR = re.compile(rb'"ttl": ?"1h"')
THOUGHT = "The sandbox is asked to think first, so it does: nothing needs to be decided here."


@dataclass(frozen=True)
class Text:
    """A text block, in the pieces of its stream."""

    deltas: tuple[str, ...]


@dataclass(frozen=True)
class Thought:
    """A thinking block, in the pieces of its stream."""

    deltas: tuple[str, ...]
    signature: str


@dataclass(frozen=True)
class ToolUse:
    id: str
    name: str
    input: Any


ContentBlock = Text | Thought | ToolUse


@dataclass(frozen=True)
class Usage:
    """The input tokens of a message."""

    input_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    cached_1h: int = 0  # of `cache_creation_input_tokens`, those for an hour


@dataclass(frozen=True)
class Answer:
    """A whole message."""

    id: str
    model: str
    blocks: tuple[ContentBlock, ...]
    stop_reason: str
    usage: Usage

    @property
    def output_tokens(self) -> int:
        """Return the output tokens, at four characters a token."""
        return sum(map(_tokens, self.blocks))


def answer(
    request: MessagesRequest,
    reply: Reply,
    usage: Usage,
    words: str,
    new_id: Callable[[str], str],
) -> Answer:
    """Make the message that answers `request`.

    `words` is its text if `reply` has none; `new_id` makes an id with a given prefix.
    """
    blocks: list[ContentBlock] = [_thought()] if thinks(request) else []
    tool = asked_tool(request)
    if tool is None:
        blocks.append(Text(_text_deltas(reply, _words(request, words))))
    else:
        blocks.append(ToolUse(new_id("toolu_01"), tool.name, example(tool.input_schema)))
    stop_reason = "end_turn" if tool is None else "tool_use"
    return Answer(new_id("msg_01"), request.model, tuple(blocks), stop_reason, usage)


def _words(request: MessagesRequest, words: str) -> str:
    schema = asked_json(request)
    if schema is None:
        return words
    return json.dumps(example(schema) if schema else {"answer": words})


def usage_of(body: bytes) -> Usage:
    """Return the usage of a request, at four bytes a token; with cache marks, most are read from the cache."""
    tokens = count_tokens(body)
    if b'"cache_control"' not in body:
        return Usage(tokens)
    created = tokens // 10
    return Usage(created + 1, created, tokens - 2 * created, created if _HOUR.search(body) else 0)


def count_tokens(body: bytes) -> int:
    return len(body) // 4 + 1


def split(text: str, words: int = 4) -> tuple[str, ...]:
    """Split a text into pieces of `words` words; joined, they are the text."""
    parts = text.split(" ")
    starts = range(0, len(parts), words)
    return tuple((" " if i else "") + " ".join(parts[i : i + words]) for i in starts)


def _text_deltas(reply: Reply, words: str) -> tuple[str, ...]:
    if reply.events is None and reply.chunk_text is None:
        return split(words)
    count = 1 if reply.events is None else reply.events
    return tuple(f"{n} " if reply.chunk_text is None else reply.chunk_text for n in range(count))


def _thought() -> Thought:
    return Thought(split(THOUGHT), signature_of(THOUGHT))


def _tokens(block: ContentBlock) -> int:
    match block:
        case Text(deltas) | Thought(deltas):
            return len("".join(deltas)) // 4 + 1
        case ToolUse():
            return len(json.dumps(block.input)) // 4 + 1
