"""Masks secrets in headers, bodies and event streams, and leaves every other byte unchanged.

A body is searched as text, be it JSON, a form or anything else: JSON may be quoted within JSON, as the arguments of
tools are, and a secret in a body that can't be parsed must not leak either. In a stream of the Messages API a secret
may be spread over the deltas of a content block.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from operator import attrgetter

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.redact.search import places
from neurolink_mitm.core.redact.text import (
    MASK,
    SecretMatch,
    merged,
    named,
    redact,
    replaced,
    tokens,
)
from neurolink_mitm.core.request import json_spans as spans
from neurolink_mitm.core.request.headers import Fields
from neurolink_mitm.core.request.json_spans import Edit

_SECRET_FIELD = re.compile(
    r"(?i)authori[sz]ation|cookie|api-?key|secret|token(?!s)|password|credential|neurolink-admin"
)


def redact_fields(fields: Fields, known: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return header fields as text, with credentials masked, by their name or their form."""
    return [(_text(name), _value(_text(name), _text(value), known)) for name, value in fields]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _value(name: str, value: str, known: Sequence[str]) -> str:
    if _SECRET_FIELD.search(name):
        return MASK
    return redact_value(value, known)


def redact_value(text: str, known: Sequence[str] = ()) -> str:
    """Mask the secrets of `known`, and all that has the form of a secret, in a short text."""
    return redact(replaced(text, merged(*_known(text, known))))


def redact_body(text: str, known: Sequence[str] = ()) -> str:
    """Mask secrets in a body, those of `known` whatever their form. Valid JSON stays valid."""
    return replaced(text, secrets(text, known))


def secrets(text: str, known: Sequence[str] = ()) -> Iterator[SecretMatch]:
    """Yield the secrets in order, without overlaps."""
    return merged(*tokens(text), *named(text), *_known(text, known))


def _known(text: str, known: Sequence[str]) -> Iterator[Iterator[SecretMatch]]:
    return (_places(text, secret) for secret in known if secret in text)


def _places(text: str, secret: str) -> Iterator[SecretMatch]:
    return (SecretMatch(at, at + len(secret)) for at in places(text, secret))


_FIELD = "data:"
_PIECES = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    partial_json: str = ""


class _Event(msgspec.Struct):
    type: str = ""
    index: int = 0
    delta: _Delta | None = None


_decoder = msgspec.json.Decoder(_Event)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A delta of a content block: the place of its event's JSON in the stream, and the member with its text."""

    start: int
    end: int
    member: str
    text: str


def redact_stream(text: str, known: Sequence[str] = ()) -> str:
    """Mask secrets in an event stream; events without secrets stay unchanged."""
    blocks = _deltas(text).values()
    edits = merge(*(_edits(text, pieces, known) for pieces in blocks), key=attrgetter("start"))
    return redact_body(replaced(text, edits), known)


def _deltas(text: str) -> dict[tuple[int, str], list[_Piece]]:
    blocks: defaultdict[tuple[int, str], list[_Piece]] = defaultdict(list)
    for start, end in _data(text):
        try:
            event = _decoder.decode(text[start:end])
        except UNREADABLE:
            continue
        if event.delta and (member := _PIECES.get(event.delta.type)):
            piece = _Piece(start, end, member, getattr(event.delta, member))
            blocks[event.index, member].append(piece)
    return blocks


def _data(text: str) -> Iterator[tuple[int, int]]:
    """Yield the places of the events' JSON, in one pass and without copies."""
    at = 0 if text.startswith(_FIELD) else _next_line(text, 0)
    while at >= 0:
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        start = at + len(_FIELD)
        start += text.startswith(" ", start)
        last = end - text.startswith("\r", end - 1)
        if text.startswith("{", start) and text.startswith("}", last - 1):
            yield start, last
        at = _next_line(text, end)


def _next_line(text: str, at: int) -> int:
    """Return the start of the next line of data; -1 if there is none."""
    newline = text.find("\n" + _FIELD, at)
    return newline if newline < 0 else newline + 1


def _edits(stream: str, pieces: list[_Piece], known: Sequence[str]) -> Iterator[SecretMatch]:
    """Yield the new JSON of each event that has a part of a secret."""
    matches = secrets("".join(piece.text for piece in pieces), known)
    pending = deque(islice(matches, 1))
    start = 0
    for piece in pieces:
        end = start + len(piece.text)
        if inside := list(_inside(pending, matches, start, end)):
            masked = replaced(piece.text, inside)
            yield SecretMatch(piece.start, piece.end, _with_text(stream, piece, masked))
        start = end


def _inside(
    pending: deque[SecretMatch], matches: Iterator[SecretMatch], start: int, end: int
) -> Iterator[SecretMatch]:
    """Yield the parts of secrets from `start` to `end`; the one in `pending` may go on behind `end`."""
    while pending and pending[0].start < end:
        yield _within(pending[0], start, end)
        if pending[0].end > end:
            return
        pending.popleft()
        pending.extend(islice(matches, 1))


def _within(secret: SecretMatch, start: int, end: int) -> SecretMatch:
    """Return the part of `secret` from `start` to `end`; its mask goes where it begins."""
    mask = secret.mask if secret.start >= start else ""
    return SecretMatch(max(secret.start, start) - start, min(secret.end, end) - start, mask)


def _with_text(stream: str, piece: _Piece, text: str) -> str:
    event = stream[piece.start : piece.end].encode("utf-8", "surrogatepass")
    delta = spans.member(event, spans.root(event), "delta")
    at = delta and spans.member(event, delta, piece.member)
    assert at, "the decoder has just read it there"
    return spans.apply(event, [Edit(at, msgspec.json.encode(text))]).decode()
