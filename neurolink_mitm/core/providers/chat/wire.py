"""Reads the bytes of a provider's stream as chunks of OpenAI's chat form.

Read here, and not by LiteLLM: its readers take U+2028 for the end of a line, text with "[DONE]" in it for the end of
the stream, and lose refusals, several finish reasons, and whether the end came at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.response.sse import SseEvent, SseReader

Json = dict[str, Any]

DONE: Json = {"done": True}
"""Stands for `[DONE]`, or for another provider's end of the stream."""
_UNREADABLE: Json = {"error": {"message": "a chunk of the stream is no JSON"}}


@dataclass(slots=True)
class WireReader:
    """Takes bytes; gives chunks. Events, lines of JSON (Ollama), or an answer that is not streamed after all.

    The first letter tells them apart; not every server has the right `Content-Type`.
    """

    _events: bool | None = None
    """Server-sent events are read, not JSON; None before the first letter."""
    _sse: SseReader = field(default_factory=SseReader)
    _line: list[bytes] = field(default_factory=list)
    """The pieces of a line whose end has not come."""
    _rest: list[bytes] = field(default_factory=list)
    """Lines that are no JSON each, but may be together."""

    def feed(self, data: bytes) -> list[Json]:
        """Return the chunks that the bytes complete."""
        if self._events is None:
            data = data.lstrip()
            if not data:
                return []
            self._events = not data.startswith((b"{", b"["))
        if self._events:
            return [chunk for event in self._sse.feed(data) for chunk in _of_event(event)]
        *lines, rest = data.split(b"\n")
        chunks: list[Json] = []
        for line in lines:
            chunks += self._of_line(b"".join([*self._line, line]))
            self._line.clear()
        self._line.append(rest)
        return chunks

    def end(self) -> list[Json]:
        """Return the chunks in what is left. Some servers leave out the last line end."""
        if self._events is not False:
            return [chunk for event in self._sse.finish() for chunk in _of_event(event)]
        chunks = list(self._of_line(b"".join(self._line)))
        whole = _decoded(b"\n".join(self._rest)) if self._rest else None
        return [*chunks, *_of_value(whole), DONE] if whole is not None else chunks

    def _of_line(self, line: bytes) -> Iterator[Json]:
        value = _decoded(line) if line.strip() and not self._rest else None
        if value is not None:
            yield from _of_value(value)
        elif line.strip():
            self._rest.append(line)


def _of_event(event: SseEvent) -> Iterator[Json]:
    data = event.data.strip()
    if data.startswith(b"[DONE]"):
        yield DONE
        return
    value = _decoded(data) if data.startswith((b"{", b"[")) else None
    if value is None and data.startswith(b"{"):
        yield _UNREADABLE  # with a part of the answer lost, the rest is none
    elif event.name == "error" and isinstance(value, dict) and not value.get("error"):
        yield {"error": value}
    else:
        yield from _of_value(value)


def _of_value(value: object) -> Iterator[Json]:
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict):
            yield chat_chunk(each)


def _decoded(data: bytes) -> object:
    try:
        return msgspec.json.decode(data)
    except UNREADABLE:
        pass
    try:  # half a letter (`surrogates`), which msgspec refuses
        return json.loads(data.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        return None


def is_chunk(piece: Json) -> bool:
    """Tell whether `piece` is a chunk of OpenAI's form, or the end, or an error."""
    return "choices" in piece or bool(piece.get("error")) or piece.get("done") is True


def chat_chunk(piece: Json) -> Json:
    """Return a piece of Ollama's or Gemini's own form in OpenAI's; any other as it is."""
    if "choices" in piece or piece.get("error"):
        return piece
    if any(name in piece for name in ("candidates", "promptFeedback", "usageMetadata")):
        return _of_gemini(piece)
    if "done" in piece:
        return _of_ollama(piece)
    return piece


def _of_ollama(piece: Json) -> Json:
    """https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion"""
    message = _dict(piece.get("message"))
    delta = {
        "content": message.get("content"),
        "reasoning_content": message.get("thinking"),
        "tool_calls": message.get("tool_calls"),
    }
    done = piece["done"] is True
    reason = (piece.get("done_reason") or "stop") if done else None
    counted = {
        "prompt_tokens": piece.get("prompt_eval_count"),
        "completion_tokens": piece.get("eval_count"),
    }
    chunk: Json = {"choices": [{"delta": delta, "finish_reason": reason}], "done": done}
    return {**chunk, "usage": counted} if done else chunk


def _of_gemini(piece: Json) -> Json:
    """https://ai.google.dev/api/generate-content#generatecontentresponse"""
    candidates = piece.get("candidates")
    choices = [
        {"delta": _gemini_delta(each), "finish_reason": each.get("finishReason")}
        for each in (candidates if isinstance(candidates, list) else ())
        if isinstance(each, dict)
    ]
    if _dict(piece.get("promptFeedback")).get("blockReason"):
        choices.append({"delta": {}, "finish_reason": "content_filter"})
    chunk: Json = {"choices": choices}
    told = _dict(piece.get("usageMetadata"))
    if told:
        chunk["usage"] = {
            "prompt_tokens": told.get("promptTokenCount"),
            "completion_tokens": told.get("candidatesTokenCount"),
            "total_tokens": told.get("totalTokenCount"),  # with the tokens of thoughts
            "prompt_tokens_details": {"cached_tokens": told.get("cachedContentTokenCount")},
        }
    return chunk


def _gemini_delta(candidate: Json) -> Json:
    parts = _dict(candidate.get("content")).get("parts")
    content: list[Json] = []
    calls: list[Json] = []
    for part in filter(
        lambda part: isinstance(part, dict), parts if isinstance(parts, list) else ()
    ):
        if isinstance(called := part.get("functionCall"), dict):
            calls.append(_gemini_call(part, called))
        elif isinstance(words := part.get("text"), str):
            kind = "thinking" if part.get("thought") is True else "text"
            content.append({"type": kind, kind: words})
    return {"content": content, "tool_calls": calls}


def _gemini_call(part: Json, called: Mapping[str, Any]) -> Json:
    call: Json = {
        "id": called.get("id"),
        "function": {"name": called.get("name"), "arguments": called.get("args")},
    }
    if signature := part.get("thoughtSignature"):
        call["provider_specific_fields"] = {"thought_signature": signature}
    return call


def _dict(value: object) -> Json:
    return value if isinstance(value, dict) else {}
