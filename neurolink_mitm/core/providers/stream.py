"""Makes of another provider's response, loosely in Anthropic's form, one that Anthropic could have sent.

Loose are empty and blank blocks, tool calls with no, half or invalid JSON input, ids and names that Anthropic refuses,
stop reasons that don't fit, and a stream without an end.
https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from neurolink_mitm.core.failover.errors import error_body
from neurolink_mitm.core.providers.answer import (
    NO_NAMES,
    Json,
    counts,
    ending,
    object_of,
    tool_use,
    words,
)
from neurolink_mitm.core.providers.signatures import is_foreign
from neurolink_mitm.core.request.tool_ids import AnswerIds
from neurolink_mitm.core.response.sse import encode

CUT = "The answer was cut off upstream. Ask again to continue."
EMPTY_REASONS = ("refusal", "max_tokens", "stop_sequence")
"""Stop reasons that explain a response without content."""
REDACTED = "redacted_thinking"
_TEXTS = {"text": ("text", "text_delta"), "thinking": ("thinking", "thinking_delta")}
"""By type of block: the member with its text, and the type of its deltas."""


@dataclass(slots=True)
class _Open:
    """The block that is open upstream; `sent` if its start was sent to the client."""

    block: Json
    sent: bool = False
    blank: list[str] = field(default_factory=list)
    """White space that is not sent before a word comes: Anthropic refuses blank texts in a history."""
    input: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ProviderStream:
    """Corrects a stream: LiteLLM's events in, events for the client out, from the first content or tool call on.

    A tool call is sent when it is complete: half of one, completed by a guess, might be run. One with invalid input is
    left out where `max_tokens` cut it off; else the answer ends in an error, and the client asks again.
    """

    message_id: str
    model: str
    tool_names: Mapping[str, str] = field(default_factory=dict)
    """The client's names of tools by those sent to the provider."""
    history_ids: Collection[str] = ()
    """The ids of tool calls in the request's history: no call of the response gets one of them."""
    tells_signatures: bool = True
    """A signature comes in a block of thinking without words; else it is only in `signatures`."""
    signatures: dict[str, str] = field(default_factory=dict)
    """The signatures of thinking without words, by the ids of the calls behind it."""
    started: bool = False
    """An event was sent: a failure becomes an error event."""
    done: bool = False
    """The response is complete, or closed by an error event."""
    _usage: Json = field(default_factory=dict)
    _open: _Open | None = None
    _blocks: int = 0
    _said: bool = False
    """Text or a call was sent. Thinking alone is no answer: the client would end its turn without a word."""
    _tools: int = 0
    """Tool calls sent."""
    _lost_tool: bool = False
    _signature: str = ""
    """That of the last block, where it is thinking without words."""
    _stop: Json = field(default_factory=dict)
    _ids: AnswerIds = field(init=False)

    def __post_init__(self) -> None:
        self._ids = AnswerIds(self.message_id, set(self.history_ids))

    def feed(self, event: Json) -> bytes:
        """Take one event; return the bytes to send for it, if any."""
        return b"" if self.done else b"".join(self._see(event))

    def cut(self) -> bytes:
        """Close a stream that broke off; return the error event, if one is needed."""
        silent, self.done = self.done or not self.started, True
        return b"" if silent else encode("error", error_body("overloaded_error", CUT))

    def _see(self, event: Json) -> Iterator[bytes]:
        kind = event.get("type")
        if kind == "message_start":
            self._count(object_of(event.get("message")).get("usage"))
        elif kind == "content_block_start":
            yield from self._close()
            self._open = _Open(dict(object_of(event.get("content_block"))))
            yield from self._begin()
        elif kind == "content_block_delta" and self._open:
            yield from self._delta(self._open, object_of(event.get("delta")))
        elif kind == "content_block_stop":
            yield from self._close()
        elif kind == "tool_begins":  # its input may take minutes
            yield from self._start()
        elif kind == "message_delta":
            self._count(event.get("usage"))
            self._stop = {**self._stop, **object_of(event.get("delta"))}
        elif kind == "message_stop":
            yield from self._finish()
        elif kind == "error":
            yield self.cut()

    def _begin(self) -> Iterator[bytes]:
        """Send text in the start of a block; start the response at a tool call, whose input may take minutes."""
        open_ = self._open
        kind = str(open_.block.get("type")) if open_ else ""
        if kind == "tool_use":
            yield from self._start()
        elif open_ and kind == REDACTED and is_foreign(open_.block.get("data")):
            open_.sent = True
            yield from self._start_block({"type": REDACTED, "data": open_.block["data"]})
        member, delta = _TEXTS.get(kind, ("", ""))
        text = open_.block.get(member) if open_ and member else None
        if open_ and isinstance(text, str) and text:
            yield from self._send_text(open_, delta, member, text)

    def _delta(self, open_: _Open, delta: Json) -> Iterator[bytes]:
        kind = open_.block.get("type")
        if kind == "tool_use" and isinstance(part := delta.get("partial_json"), str):
            open_.input.append(part)
        elif kind == "thinking" and delta.get("type") == "signature_delta":
            yield from self._sign(open_, delta.get("signature"))
        elif kind in _TEXTS and delta.get("type") == _TEXTS[kind][1]:
            text = delta.get(_TEXTS[kind][0])
            if isinstance(text, str) and text:
                yield from self._send_text(open_, _TEXTS[kind][1], _TEXTS[kind][0], text)

    def _send_text(self, open_: _Open, delta: str, member: str, text: str) -> Iterator[bytes]:
        if not open_.sent:
            open_.blank.append(text)
            if text.isspace():
                return
            text = "".join(open_.blank)
            open_.sent = True
            self._signature = ""
            self._said = self._said or member == "text"
            # without Anthropic's signature: by that it is recognised as foreign when it comes back
            fields = {"signature": ""} if member == "thinking" else {}
            yield from self._start_block({"type": member, member: "", **fields})
        yield self._of_block("content_block_delta", delta={"type": delta, member: text})

    def _sign(self, open_: _Open, signature: object) -> Iterator[bytes]:
        """Send a signature of ours, also of thinking without words: the author wants it back."""
        if not is_foreign(signature):
            return
        self._signature = "" if open_.sent else str(signature)
        if self._signature and not self.tells_signatures:
            return
        if not open_.sent:
            open_.sent = True
            yield from self._start_block({"type": "thinking", "thinking": "", "signature": ""})
        delta = {"type": "signature_delta", "signature": signature}
        yield self._of_block("content_block_delta", delta=delta)

    def _close(self) -> Iterator[bytes]:
        open_, self._open = self._open, None
        if open_ is None:
            return
        if open_.block.get("type") == "tool_use":
            yield from self._tool(open_)
        elif open_.sent:
            yield self._of_block("content_block_stop")
            self._blocks += 1

    def _tool(self, open_: _Open) -> Iterator[bytes]:
        block = tool_use(open_.block, "".join(open_.input), self.tool_names)
        if block is None:
            self._lost_tool = True
            return
        block["id"] = self._ids.of(block["id"])
        if self._signature:
            self.signatures[block["id"]] = self._signature
            self._signature = ""
        self._tools += 1
        self._said = True
        yield from self._start_block({**block, "input": {}})
        text = msgspec.json.encode(block["input"]).decode()
        delta = {"type": "input_json_delta", "partial_json": text}
        yield self._of_block("content_block_delta", delta=delta)
        yield self._of_block("content_block_stop")
        self._blocks += 1

    def _finish(self) -> Iterator[bytes]:
        yield from self._close()
        stop = ending(self._stop, tools=self._tools)
        lost = self._lost_tool and stop["stop_reason"] != "max_tokens"
        if lost or (not self._said and stop["stop_reason"] not in EMPTY_REASONS):
            yield self.cut()
            return
        yield from self._start()
        usage = {"output_tokens": 0, **self._usage}
        yield _event("message_delta", delta=stop, usage=usage)
        yield _event("message_stop")
        self.done = True

    def _start(self) -> Iterator[bytes]:
        if self.started:
            return
        self.started = True
        usage = {"input_tokens": 0, **self._usage, "output_tokens": 0}
        yield _event(
            "message_start",
            message={
                "id": self.message_id, "type": "message", "role": "assistant", "content": [],
                "model": self.model, "stop_reason": None, "stop_sequence": None, "usage": usage,
            },
        )  # fmt: skip

    def _start_block(self, block: Json) -> Iterator[bytes]:
        yield from self._start()
        yield self._of_block("content_block_start", content_block=block)

    def _of_block(self, kind: str, **members: Any) -> bytes:
        return _event(kind, index=self._blocks, **members)

    def _count(self, usage: object) -> None:
        self._usage |= counts(usage)


def whole(
    message: Json,
    message_id: str,
    model: str,
    tool_names: Mapping[str, str] = NO_NAMES,
    history_ids: Collection[str] = (),
) -> Json | None:
    """Correct a response that is not streamed, by the same rules; None if it has no content, or an unreadable call."""
    blocks = list(_blocks(message.get("content"), tool_names))
    content = [block for block in blocks if block]
    tools = [block for block in content if block["type"] == "tool_use"]
    ids = AnswerIds(message_id, set(history_ids))
    for block in tools:
        block["id"] = ids.of(block["id"])
    stop = ending(message, tools=len(tools))
    lost = None in blocks and stop["stop_reason"] != "max_tokens"
    said = any(block["type"] in ("text", "tool_use") for block in content)
    if lost or (not said and stop["stop_reason"] not in EMPTY_REASONS):
        return None
    return {
        "id": message_id, "type": "message", "role": "assistant", "model": model,
        "content": content, **stop,
        "usage": {"input_tokens": 0, "output_tokens": 0, **counts(message.get("usage"))},
    }  # fmt: skip


def _blocks(content: object, tool_names: Mapping[str, str]) -> Iterator[Json | None]:
    """Yield the blocks with content; None for a tool call with invalid input."""
    for block in content if isinstance(content, list) else ():
        kind = object_of(block).get("type")
        if kind == "tool_use":
            given = block.get("input")
            yield tool_use(block, given if isinstance(given, str) else "", tool_names)
        elif kind == "thinking" and (words(block, kind) or is_foreign(block.get("signature"))):
            signature = block["signature"] if is_foreign(block.get("signature")) else ""
            yield {"type": kind, kind: words(block, kind), "signature": signature}
        elif kind == REDACTED and is_foreign(block.get("data")):
            yield {"type": kind, "data": block["data"]}
        elif kind == "text" and words(block, kind):
            yield {"type": kind, kind: block[kind]}


def _event(kind: str, **members: Any) -> bytes:
    return encode(kind, msgspec.json.encode({"type": kind, **members}))
