"""Replaces placeholders in a response by their words, also where a placeholder is cut at any byte.

Thinking is left as it is: it is signed, and the model reads it again in the next turn.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.request import json_spans as spans
from neurolink_mitm.core.request.conversation import THINKING
from neurolink_mitm.core.request.json_spans import Edit, Span
from neurolink_mitm.core.response.sse import SseEvent, SseReader, encode
from neurolink_mitm.core.shaping.outgoing import Editor

FORM = re.compile(r"NL_(?:WORD|TEXT|HOST|EMAIL|IPV4|IPV6|KEY)_[0-9a-f]{12}")
"""A placeholder: of letters that need no escape in JSON, in a URL or in a tool's name. None begins inside another."""
MARK = "NL_"


class Placeholders:
    """Makes placeholders: the same one for the same text, in all sessions and after a restart.

    So the prompt cache holds, and a model's thinking fits. Without the key nobody can guess the text of a placeholder.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, kind: str, text: str) -> str:
        message = f"{kind} {text}".encode("utf-8", "surrogatepass")
        return f"{MARK}{kind}_{hmac.digest(self._key, message, hashlib.sha256).hex()[:12]}"


Table = Mapping[str, str]
"""The word of each placeholder in the request."""
_RAW = re.compile(FORM.pattern.encode())
_RAW_MARK = MARK.encode()

LARGEST_BODY = 64 * 1024 * 1024
"""Bytes of a response that is no stream; a longer one is broken off, since it is held until its end."""
LARGEST_EVENT = 8 * 1024 * 1024
"""Bytes of one event; a longer one is broken off."""


class OversizedError(ValueError):
    """The response is too long to be edited."""


def editor(table: Table, stream: bool) -> Editor:
    """Return the editor of one response."""
    return StreamEditor(table) if stream else WholeEditor(table)


class Restorer:
    """Replaces placeholders by words, in text and in the bytes of JSON."""

    def __init__(self, table: Table) -> None:
        self._words = dict(table)
        # as they are written between the quotes of a JSON string
        self._in_json = {name: msgspec.json.encode(w)[1:-1].decode() for name, w in table.items()}
        self._begun = {name[:end] for name in table for end in range(1, len(name))}
        self._longest = max(map(len, table), default=1) - 1

    def text(self, text: str, *, in_json: bool = False) -> str:
        """Replace placeholders in a text, or in a piece of JSON."""
        words = self._in_json if in_json else self._words
        return FORM.sub(lambda m: words.get(m[0], m[0]), text) if MARK in text else text

    def json(self, raw: bytes) -> bytes:
        """Replace placeholders in JSON, where they can only be in strings."""
        if _RAW_MARK not in raw:
            return raw
        return _RAW.sub(lambda m: self._in_json.get(m[0].decode(), m[0].decode()).encode(), raw)

    def unfinished(self, text: str) -> int:
        """Return the number of characters at the end that may be the beginning of a placeholder."""
        at = text.find(MARK[0], max(0, len(text) - self._longest))
        while at >= 0:
            if text[at:] in self._begun:
                return len(text) - at
            at = text.find(MARK[0], at + 1)
        return 0


class WholeEditor:
    """Edits a response that is no stream; it is held until its end. Raises `OversizedError`."""

    def __init__(self, table: Table) -> None:
        self._restorer = Restorer(table)
        self._body: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> bytes:
        self._size += len(chunk)
        if self._size > LARGEST_BODY:
            self._body.clear()
            raise OversizedError("the body is too long")
        self._body.append(chunk)
        return b""

    def end(self) -> bytes:
        body = b"".join(self._body)
        self._body.clear()
        if _RAW_MARK not in body:
            return body
        try:
            kept = list(_thinking(body))
        except ValueError:  # no JSON: a page, say
            text = self._restorer.text(body.decode("utf-8", "surrogateescape"))
            return text.encode("utf-8", "surrogateescape")
        return _all_but(kept, body, self._restorer)


def _all_but(kept: list[Span], body: bytes, restorer: Restorer) -> bytes:
    pieces, at = [], 0
    for span in kept:
        pieces += [restorer.json(body[at : span.start]), span.of(body)]
        at = span.end
    return b"".join((*pieces, restorer.json(body[at:])))


def _thinking(body: bytes) -> Iterator[Span]:
    """Yield the spans of a message's thinking blocks. Raises `ValueError`."""
    root = spans.root(body)
    if not body.startswith((b"{", b"["), root.start):
        raise ValueError("no JSON object")
    content = spans.member(body, root, "content")
    for block in spans.parts(body, content) if content else ():
        if spans.type_of(body, block.value) in THINKING:
            yield block.value


class _Delta(msgspec.Struct):
    type: str = ""
    text: str | None = None
    partial_json: str | None = None


class _BlockDelta(msgspec.Struct):
    index: int
    delta: _Delta


_deltas = msgspec.json.Decoder(_BlockDelta)
_MEMBERS = {"text_delta": "text", "input_json_delta": "partial_json"}
_LEFT_ALONE = frozenset({"thinking_delta", "signature_delta"})


@dataclass(frozen=True, slots=True)
class _Rest:
    """The end of a delta that may be the beginning of a placeholder; it waits for the next delta."""

    index: int
    type: str
    text: str

    def event(self) -> bytes:
        delta = {"type": self.type, _MEMBERS[self.type]: self.text}
        data = {"type": "content_block_delta", "index": self.index, "delta": delta}
        return encode("content_block_delta", msgspec.json.encode(data))


class StreamEditor:
    """Edits an event stream of the Messages API. An event without a placeholder stays as it is.

    Raises `OversizedError` for an event that does not end.
    """

    def __init__(self, table: Table) -> None:
        self._restorer = Restorer(table)
        self._reader = SseReader(keep_raw=True)
        self._rest: _Rest | None = None

    def feed(self, chunk: bytes) -> bytes:
        edited = b"".join(map(self._edited, self._reader.feed(chunk)))
        if self._reader.pending_size > LARGEST_EVENT:
            raise OversizedError("an event without end")
        return edited

    def end(self) -> bytes:
        return self._flushed() + self._restorer.json(self._reader.pending)

    def _edited(self, event: SseEvent) -> bytes:
        if event.name == "content_block_delta":
            return self._delta(event)
        if not event.data or event.name == "ping":
            return event.raw
        if event.name == "content_block_start" and _starts_thinking(event.data):
            return self._flushed() + event.raw
        return self._flushed() + self._restorer.json(event.raw)

    def _delta(self, event: SseEvent) -> bytes:
        try:
            seen = _deltas.decode(event.data)
        except UNREADABLE:
            return self._flushed() + self._restorer.json(event.raw)
        delta = seen.delta
        text = delta.partial_json if delta.type == "input_json_delta" else delta.text
        if delta.type in _LEFT_ALONE:
            return self._flushed() + event.raw
        if delta.type not in _MEMBERS or text is None:
            return self._flushed() + self._restorer.json(event.raw)
        before = self._flushed() if not self._goes_on(seen) else b""
        waiting = self._rest.text if self._rest else ""
        return before + self._text(event, seen, waiting + text, changed=bool(waiting))

    def _text(self, event: SseEvent, seen: _BlockDelta, text: str, *, changed: bool) -> bytes:
        kind = seen.delta.type
        rest = self._restorer.unfinished(text)
        self._rest = _Rest(seen.index, kind, text[len(text) - rest :]) if rest else None
        ready = text[: len(text) - rest]
        restored = self._restorer.text(ready, in_json=kind != "text_delta")
        if restored == text and not changed:
            return event.raw
        return _with_text(event, _MEMBERS[kind], restored) if restored else b""

    def _goes_on(self, seen: _BlockDelta) -> bool:
        rest = self._rest
        return rest is not None and (rest.index, rest.type) == (seen.index, seen.delta.type)

    def _flushed(self) -> bytes:
        """Return the waiting end of a delta as an event: no placeholder came of it."""
        rest, self._rest = self._rest, None
        return rest.event() if rest else b""


def _starts_thinking(data: bytes) -> bool:
    try:
        block = spans.member(data, spans.root(data), "content_block")
        return block is not None and spans.type_of(data, block) in THINKING
    except ValueError:
        return False


def _with_text(event: SseEvent, member: str, text: str) -> bytes:
    """Return the event with another text; all its other bytes stay."""
    data = event.data
    delta = spans.member(data, spans.root(data), "delta")
    at = spans.member(data, delta, member) if delta else None
    assert at is not None, "the decoder has just found it"
    new = spans.apply(data, [Edit(at, msgspec.json.encode(text))])
    before, found, after = event.raw.partition(data)
    if found:
        return before + new + after
    return encode(event.name, new.replace(b"\n", b" "))  # it came as several lines
