"""The token usage that a response reports, with its stop reason and its model.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming#event-types
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE


class _Lifetimes(msgspec.Struct):
    ephemeral_1h_input_tokens: int | None = None


class _ServerTools(msgspec.Struct):
    web_search_requests: int | None = None


class _OutputDetails(msgspec.Struct):
    thinking_tokens: int | None = None


class _Counts(msgspec.Struct):
    input_tokens: int | None = None
    prompt_tokens: int | None = None  # of embeddings
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: _Lifetimes | None = None
    output_tokens_details: _OutputDetails | None = None
    server_tool_use: _ServerTools | None = None
    speed: object = None
    inference_geo: object = None


class _Message(msgspec.Struct):
    model: str | None = None
    stop_reason: str | None = None
    usage: _Counts | None = None


class _MessageStart(msgspec.Struct):
    message: _Message


class _MessageDelta(msgspec.Struct):
    delta: _Message | None = None
    usage: _Counts | None = None


_start = msgspec.json.Decoder(_MessageStart)
_delta = msgspec.json.Decoder(_MessageDelta)
_whole = msgspec.json.Decoder(_Message)


@dataclass(slots=True)
class TokenUsage:
    """Token counts of one response; None for what it has not reported. A later count replaces an earlier one."""

    model: str | None = None
    stop_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_creation_1h_tokens: int | None = None
    """The part of `cache_creation_tokens` that is cached for an hour, and costs more."""
    web_search_requests: int | None = None
    """Web searches of Anthropic's for this response; they are charged by number, beside the tokens."""
    speed: str | None = None
    """The speed of the model; `fast` costs more."""
    inference_geo: str | None = None
    """The region of inference; to be bound to one costs more."""

    thinking_tokens: int | None = None
    """The part of `output_tokens` that was thinking."""

    def see_event(self, name: str, data: bytes) -> None:
        """Read one event of a stream; a malformed one changes nothing."""
        try:
            if name == "message_start":
                self._see_message(_start.decode(data).message)
            elif name == "message_delta":
                event = _delta.decode(data)
                self._see_message(event.delta or _Message())
                self._see_counts(event.usage)
        except UNREADABLE:
            return

    def see_whole(self, body: bytes) -> None:
        """Read the body of a response that is no stream; a malformed one changes nothing."""
        try:
            self._see_message(_whole.decode(body))
        except UNREADABLE:
            return

    def _see_message(self, message: _Message) -> None:
        self.model = _name(message.model) or self.model
        self.stop_reason = _name(message.stop_reason) or self.stop_reason
        self._see_counts(message.usage)

    def _see_counts(self, counts: _Counts | None) -> None:
        if counts is None:
            return
        self.input_tokens = _newer(counts.input_tokens, self.input_tokens)
        self.input_tokens = _newer(counts.prompt_tokens, self.input_tokens)
        self.output_tokens = _newer(counts.output_tokens, self.output_tokens)
        self.cache_creation_tokens = _newer(
            counts.cache_creation_input_tokens, self.cache_creation_tokens
        )
        self.cache_read_tokens = _newer(counts.cache_read_input_tokens, self.cache_read_tokens)
        self.speed = _word(counts.speed, self.speed)
        self.inference_geo = _word(counts.inference_geo, self.inference_geo)
        if counts.cache_creation:
            self.cache_creation_1h_tokens = _newer(
                counts.cache_creation.ephemeral_1h_input_tokens, self.cache_creation_1h_tokens
            )
        if counts.output_tokens_details:
            self.thinking_tokens = _newer(
                counts.output_tokens_details.thinking_tokens, self.thinking_tokens
            )
        if counts.server_tool_use:
            self.web_search_requests = _newer(
                counts.server_tool_use.web_search_requests, self.web_search_requests
            )


def _name(text: str | None) -> str | None:
    """Return the first 256 characters of a name: it is stored and logged."""
    return text[:256] if text else None


def _word(new: object, old: str | None) -> str | None:
    return _name(new) if isinstance(new, str) else old


def _newer(new: int | None, old: int | None) -> int | None:
    return old if new is None else new
