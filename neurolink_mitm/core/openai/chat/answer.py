"""Answers in chat's form. https://platform.openai.com/docs/api-reference/chat/object"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.openai import blocks
from neurolink_mitm.core.openai.chat.calls import CallForm
from neurolink_mitm.core.openai.chat.ending import JSON_MAY_BE_CUT, finish_reason, usage_json
from neurolink_mitm.core.openai.chat.stream import ChatStream
from neurolink_mitm.core.openai.chat.thinking import redacted_detail, text_detail
from neurolink_mitm.core.openai.json_text import json_of
from neurolink_mitm.core.openai.translated import StreamWriter
from neurolink_mitm.core.response.usage import TokenUsage


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """The `AnswerFormat` of one chat request."""

    model: str
    """The model that the client asked for."""
    include_usage: bool = False
    """`stream_options.include_usage`"""
    json: bool = False
    """`response_format` asks for JSON, by a schema or without: the client gets nothing but JSON, or an error."""

    calls: CallForm = field(default_factory=CallForm)

    def stream(self, request_id: str, created: int) -> StreamWriter:
        return ChatStream(
            answer_id=_answer_id(request_id),
            created=created,
            model=self.model,
            include_usage=self.include_usage,
            json=self.json,
            form=self.calls,
        )

    def whole(self, message: bytes, request_id: str, created: int) -> bytes:
        """Return the completion for a whole Messages response.

        Raises `ValueError` where it is none, and `NotJsonError` where its text is no JSON though the client wants some.
        """
        try:
            decoded = _messages.decode(message.decode())  # what is copied must be UTF-8, too
            if decoded.type != "message":
                raise ValueError(f"a {decoded.type}, no message")
            parts = _Parts.of(decoded.content)
            content = parts.content(decoded.stop_reason, json=self.json)
            members = [*parts.thinking(), self.calls.whole(parts.calls)]
        except UNREADABLE as e:
            raise ValueError(f"no message that can be read: {e}") from e
        usage = TokenUsage()
        usage.see_whole(message)
        head = msgspec.json.encode(
            {"id": _answer_id(request_id), "object": "chat.completion", "created": created, "model": self.model}
        )  # fmt: skip
        reason = finish_reason(decoded.stop_reason, self.calls.reason if parts.calls else "")
        return (
            b'%b,"choices":[{"index":0,"message":{"role":"assistant","content":%b,"refusal":null%b}'
            b',"logprobs":null,"finish_reason":"%b"}],"usage":%b}'
        ) % (
            head[:-1],
            content,
            b"".join(b"," + member for member in members if member),
            reason.encode(),
            usage_json(usage),
        )


class _Message(msgspec.Struct):
    content: list[blocks.Block]
    type: str = "message"
    stop_reason: str | None = None


_messages = msgspec.json.Decoder(_Message)
_text = msgspec.json.Decoder(str)


@dataclass(slots=True)
class _Parts:
    """The parts of a message, as JSON; texts are without their quotes."""

    texts: list[bytes] = field(default_factory=list)
    thoughts: list[bytes] = field(default_factory=list)
    details: list[bytes] = field(default_factory=list)
    calls: list[blocks.Block] = field(default_factory=list)

    @classmethod
    def of(cls, content: list[blocks.Block]) -> _Parts:
        parts = cls()
        for block in content:
            parts._add(block)
        return parts

    def _add(self, block: blocks.Block) -> None:
        if block.type == "text":
            self.texts.append(blocks.words(block.text))
        elif block.type == "tool_use":
            self.calls.append(block)
        elif block.type == "thinking":
            words, signature = blocks.words(block.thinking), blocks.words(block.signature)
            self.thoughts.append(words)
            if signature:
                index = len(self.details)
                self.details.append(text_detail(index, b'"%b"' % words, b'"%b"' % signature))
        elif block.type == "redacted_thinking" and (redacted := blocks.words(block.data)):
            self.details.append(redacted_detail(len(self.details), b'"%b"' % redacted))

    def content(self, stop_reason: str | None, *, json: bool) -> bytes:
        text = b'"%b"' % b"".join(self.texts)
        if json:
            text = self._json(_text.decode(text), cut=stop_reason in JSON_MAY_BE_CUT)
        return b"null" if text == b'""' and self.calls else text

    def _json(self, text: str, *, cut: bool) -> bytes:
        """Return the JSON of the text; prose beside calls need not have any."""
        return msgspec.json.encode(json_of(text, cut=cut, optional=bool(self.calls)))

    def thinking(self) -> Iterator[bytes]:
        """Yield the members of the message that have thinking."""
        if thoughts := b"".join(self.thoughts):
            yield b'"reasoning_content":"%b"' % thoughts
        if self.details:
            yield b'"reasoning_details":[%b]' % b",".join(self.details)


def _answer_id(request_id: str) -> str:
    return f"chatcmpl-{request_id}"
