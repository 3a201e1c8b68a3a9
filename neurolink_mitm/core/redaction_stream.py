"""Takes secrets out of an event stream of the Messages API, those too that come in pieces, some in each event."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

import msgspec

from neurolink_mitm.core import json_spans as spans
from neurolink_mitm.core.json_spans import Edit
from neurolink_mitm.core.redaction_body import Found, redact_body, replaced, secrets
from neurolink_mitm.core.unreadable import UNREADABLE

_DATA = re.compile(r"^data:[ ]?(?P<json>\{.*\})\r?$", re.MULTILINE)
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


def redact_stream(text: str) -> str:
    """The stream with stars for secrets; events in which there are none stay byte for byte."""
    edits = sorted(edit for pieces in _blocks(text).values() for edit in _edits(text, pieces))
    return redact_body(replaced(text, edits))


def _blocks(text: str) -> dict[tuple[int, str], list[_Piece]]:
    blocks: defaultdict[tuple[int, str], list[_Piece]] = defaultdict(list)
    for match in _DATA.finditer(text):
        try:
            event = _decoder.decode(match["json"])
        except UNREADABLE:
            continue
        if event.delta and (member := _PIECES.get(event.delta.type)):
            piece = _Piece(*match.span("json"), member, getattr(event.delta, member))
            blocks[event.index, member].append(piece)
    return blocks


def _edits(stream: str, pieces: list[_Piece]) -> list[Found]:
    """The JSON of events anew in which a part of a secret stands."""
    found = secrets("".join(piece.text for piece in pieces))
    edits: list[Found] = []
    start = 0
    for piece in pieces:
        end = start + len(piece.text)
        inside = [
            _within(each, start, end) for each in found if each.start < end and each.end > start
        ]
        if inside:
            changed = replaced(piece.text, inside)
            edits.append(Found(piece.start, piece.end, _with(stream, piece, changed)))
        start = end
    return edits


def _within(found: Found, start: int, end: int) -> Found:
    """The part of it in one piece: the stars go where it begins."""
    stars = found.stars if found.start >= start else ""
    return Found(max(found.start, start) - start, min(found.end, end) - start, stars)


def _with(stream: str, piece: _Piece, text: str) -> str:
    event = stream[piece.start : piece.end].encode("utf-8", "surrogatepass")
    delta = spans.member(event, spans.root(event), "delta")
    at = delta and spans.member(event, delta, piece.member)
    assert at, "the decoder has just read it there"
    return spans.apply(event, [Edit(at, msgspec.json.encode(text))]).decode()
