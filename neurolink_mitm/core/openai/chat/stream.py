"""Writes a streamed Messages answer as chunks of a chat completion, event by event.

Texts go from the event into the chunk as the JSON that they are, which makes a chunk cost a few microseconds.
https://platform.openai.com/docs/api-reference/chat-streaming/streaming
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.openai import blocks
from neurolink_mitm.core.openai.chat.calls import CallForm, StreamedCall
from neurolink_mitm.core.openai.chat.ending import JSON_MAY_BE_CUT, finish_reason, usage_json
from neurolink_mitm.core.openai.chat.thinking import redacted_detail, text_detail
from neurolink_mitm.core.openai.errors import (
    CUT_OFF,
    UNREADABLE_EVENT,
    RequestError,
    encoded,
    error_in_openai_form,
)
from neurolink_mitm.core.openai.json_text import JsonText
from neurolink_mitm.core.response.usage import TokenUsage

DONE = b"data: [DONE]\n\n"

_starts = msgspec.json.Decoder(blocks.BlockStart)
_reasons = msgspec.json.Decoder(blocks.MessageDelta)
_stops = msgspec.json.Decoder(blocks.BlockStop)
_text = msgspec.json.Decoder(str)


@dataclass(slots=True)
class _Thinking:
    """Thinking that is not complete: its words, and its signature."""

    words: list[bytes] = field(default_factory=list)
    signature: bytes = b""


class ChatStream:
    """The `StreamWriter` of one answer."""

    def __init__(
        self,
        *,
        answer_id: str,
        created: int,
        model: str,
        include_usage: bool,
        json: bool,
        form: CallForm,
    ) -> None:
        head = msgspec.json.encode(
            {"id": answer_id, "object": "chat.completion.chunk", "created": created, "model": model}
        )
        self._head = b"data: " + head[:-1]
        self._tail = (b',"usage":null' if include_usage else b"") + b"}\n\n"
        self._before = self._head + b',"choices":[{"index":0,"delta":{'
        self._after = b'},"finish_reason":null}]' + self._tail
        self._before_content = self._before + b'"content":'
        self._role = self._chunk(b'"role":"assistant","content":""')
        """The first chunk, until it is sent."""
        self._include_usage = include_usage
        self._deltas = blocks.Deltas()
        self._json = JsonText() if json else None
        self._usage = TokenUsage()
        self._stop_reason: str | None = None
        self._form = form
        self._calls: dict[int, StreamedCall] = {}
        self._thinking: dict[int, _Thinking] = {}
        self._called = 0
        self._details = 0
        self._complete = False
        self._over = False

    def event(self, name: str, data: bytes) -> bytes:
        """Return the chunks for an event."""
        if self._over:
            return b""
        if b"\n" in data:  # an event of several lines
            data = data.replace(b"\n", b" ")
        try:
            if not data.isascii():
                data.decode()  # it may raise; what is copied is not decoded later
            if name == "content_block_delta":
                return self._started(self._delta(data))
            return self._other(name, data)
        except RequestError as e:
            return self._failed(e.body)
        except (*UNREADABLE, ValueError):
            return self._failed(encoded(UNREADABLE_EVENT))

    def end(self) -> bytes:
        """Return `[DONE]` after a good end; an error where the answer ended without a word about it."""
        if self._complete:
            return DONE
        return b"" if self._over else self._failed(encoded(CUT_OFF))

    def _other(self, name: str, data: bytes) -> bytes:
        if name == "content_block_start":
            return self._started(b"".join(self._start(data)))
        if name == "content_block_stop":
            return b"".join(self._stop(_stops.decode(data).index))
        if name == "message_start":
            self._count(name, data)
            return self._started(b"")
        if name == "message_delta":
            self._count(name, data)
            self._stop_reason = _reasons.decode(data).delta.stop_reason or self._stop_reason
        elif name == "message_stop":
            return self._started(b"".join(self._finish()))
        elif name == "error":
            return self._failed(encoded(error_in_openai_form(data)))
        return b""

    def _count(self, name: str, data: bytes) -> None:
        if self._include_usage:
            self._usage.see_event(name, data)

    def _started(self, chunks: bytes) -> bytes:
        """Put the first chunk before the others, once."""
        if self._role:
            chunks, self._role = self._role + chunks, b""
        return chunks

    def _chunk(self, delta: bytes) -> bytes:
        return self._before + delta + self._after

    def _maybe_chunk(self, delta: bytes) -> bytes:
        return self._chunk(delta) if delta else b""

    def _failed(self, error: bytes) -> bytes:
        self._over = True
        return b"data: %b\n\n" % error

    def _delta(self, data: bytes) -> bytes:
        event = self._deltas.read(data)
        delta = event.delta
        kind = delta.type
        if kind == "text_delta":
            text = bytes(delta.text)
            if self._json is None and text[:1] == b'"' and text != b'""':  # nearly all of them
                return self._before_content + text + self._after
            return self._text(blocks.words(delta.text))
        if kind == "input_json_delta":
            return self._arguments(event.index, blocks.words(delta.partial_json))
        if kind == "thinking_delta":
            return self._thought(event.index, blocks.words(delta.thinking))
        if kind == "signature_delta":
            self._thinking_at(event.index).signature += blocks.words(delta.signature)
        return b""

    def _text(self, words: bytes) -> bytes:
        if self._json and words:
            piece = self._json.feed(_text.decode(b'"%b"' % words))
            words = msgspec.json.encode(piece)[1:-1]
        return self._chunk(b'"content":"%b"' % words) if words else b""

    def _arguments(self, index: int, piece: bytes) -> bytes:
        """Return a piece of a call's arguments; a tool that runs at Anthropic's has no call here."""
        call = self._calls.get(index)
        return self._maybe_chunk(call.add(piece)) if call else b""

    def _thought(self, index: int, words: bytes) -> bytes:
        if not words:
            return b""
        self._thinking_at(index).words.append(words)
        return self._chunk(b'"reasoning_content":"%b"' % words)

    def _thinking_at(self, index: int) -> _Thinking:
        return self._thinking.setdefault(index, _Thinking())

    def _start(self, data: bytes) -> Iterator[bytes]:
        event = _starts.decode(data)
        block = event.content_block
        yield from self._stop(event.index)  # if its end was left out
        if block.type == "text":
            yield self._text(blocks.words(block.text))
        elif block.type == "tool_use":
            yield self._call(event.index, block)
        elif block.type == "thinking":
            yield self._thought(event.index, blocks.words(block.thinking))
            self._thinking_at(event.index).signature = blocks.words(block.signature)
        elif block.type == "redacted_thinking" and (redacted := blocks.words(block.data)):
            yield self._detail(redacted_detail(self._details, b'"%b"' % redacted))

    def _call(self, index: int, block: blocks.Block) -> bytes:
        call = self._calls[index] = self._form.streamed(self._called, block)
        self._called += 1
        return self._maybe_chunk(call.start())

    def _stop(self, index: int) -> Iterator[bytes]:
        """Complete a block: a call has all of its arguments, thinking is signed."""
        if call := self._calls.pop(index, None):
            yield self._maybe_chunk(call.end())
        thinking = self._thinking.pop(index, None)
        if thinking and thinking.signature:
            words = b'"%b"' % b"".join(thinking.words)
            yield self._detail(text_detail(self._details, words, b'"%b"' % thinking.signature))

    def _detail(self, detail: bytes) -> bytes:
        self._details += 1
        return self._chunk(b'"reasoning_details":[%b]' % detail)

    def _finish(self) -> Iterator[bytes]:
        for index in (*self._calls, *self._thinking):
            yield from self._stop(index)
        called = self._called > 0
        if self._json:
            self._json.end(cut=self._stop_reason in JSON_MAY_BE_CUT, optional=called)
        calls = self._form.reason if called else ""
        reason = finish_reason(self._stop_reason, calls).encode()
        choice = b'{"index":0,"delta":{},"finish_reason":"%b"}' % reason
        yield self._head + b',"choices":[%b]' % choice + self._tail
        if self._include_usage:
            yield self._head + b',"choices":[],"usage":%b}\n\n' % usage_json(self._usage)
        self._complete = self._over = True
