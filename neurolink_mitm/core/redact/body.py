"""Takes secrets out of headers and bodies that are about to be written, and leaves every other byte of them.

A body is text: JSON, a form, an event stream, or anything else, and JSON may stand quoted within JSON, as the arguments
of tools do. So it is searched as text and never parsed as a whole: what can't be parsed must not leak either.

Takes secrets out of an event stream of the Messages API, those too that come in pieces, some in each event.
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
    """Header fields as text, with stars for those named like a credential and for whatever looks like one."""
    return [(_text(name), _value(_text(name), _text(value), known)) for name, value in fields]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _value(name: str, value: str, known: Sequence[str]) -> str:
    if _SECRET_FIELD.search(name):
        return MASK
    return redact_value(value, known)


def redact_value(text: str, known: Sequence[str] = ()) -> str:
    """A short text with stars for the secrets of `known`, and for whatever looks like one."""
    return redact(replaced(text, merged(*_known(text, known))))


def redact_body(text: str, known: Sequence[str] = ()) -> str:
    """The same text with stars for secrets, those of `known` whatever they look like. What was valid JSON still is."""
    return replaced(text, secrets(text, known))


def secrets(text: str, known: Sequence[str] = ()) -> Iterator[SecretMatch]:
    """Where they are, in order; none overlaps another."""
    return merged(*tokens(text), *named(text), *_known(text, known))


def _known(text: str, known: Sequence[str]) -> Iterator[Iterator[SecretMatch]]:
    return (_places(text, secret) for secret in known)


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
    """A part of a block's text: where its event's JSON stands in the stream, and which member it is."""

    start: int
    end: int
    member: str
    text: str


def redact_stream(text: str, known: Sequence[str] = ()) -> str:
    """The stream with stars for secrets; events in which there are none stay byte for byte."""
    blocks = _blocks(text).values()
    edits = merge(*(_edits(text, pieces, known) for pieces in blocks), key=attrgetter("start"))
    return redact_body(replaced(text, edits), known)


def _blocks(text: str) -> dict[tuple[int, str], list[_Piece]]:
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
    """Where the JSON of events stands. A text of any size is not copied, nor is a line looked at twice."""
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
    """Where the next line of data begins; -1 where there is none."""
    found = text.find("\n" + _FIELD, at)
    return found if found < 0 else found + 1


def _edits(stream: str, pieces: list[_Piece], known: Sequence[str]) -> Iterator[SecretMatch]:
    """The JSON of events anew in which a part of a secret stands."""
    found = secrets("".join(piece.text for piece in pieces), known)
    left = deque(islice(found, 1))
    start = 0
    for piece in pieces:
        end = start + len(piece.text)
        inside = list(_inside(left, found, start, end))
        if inside:
            changed = replaced(piece.text, inside)
            yield SecretMatch(piece.start, piece.end, _with(stream, piece, changed))
        start = end


def _inside(
    left: deque[SecretMatch], found: Iterator[SecretMatch], start: int, end: int
) -> Iterator[SecretMatch]:
    """Those with a part there; `left` is the first that may go on behind it."""
    while left and left[0].start < end:
        yield _within(left[0], start, end)
        if left[0].end > end:
            return
        left.popleft()
        left.extend(islice(found, 1))


def _within(found: SecretMatch, start: int, end: int) -> SecretMatch:
    """The part of it in one piece: the stars go where it begins."""
    mask = found.mask if found.start >= start else ""
    return SecretMatch(max(found.start, start) - start, min(found.end, end) - start, mask)


def _with(stream: str, piece: _Piece, text: str) -> str:
    event = stream[piece.start : piece.end].encode("utf-8", "surrogatepass")
    delta = spans.member(event, spans.root(event), "delta")
    at = delta and spans.member(event, delta, piece.member)
    assert at, "the decoder has just read it there"
    return spans.apply(event, [Edit(at, msgspec.json.encode(text))]).decode()
