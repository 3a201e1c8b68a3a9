"""Takes secrets out of an event stream of the Messages API, those too that come in pieces, some in each event."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from operator import attrgetter

import msgspec

from neurolink_mitm.core import json_spans as spans
from neurolink_mitm.core.json_spans import Edit
from neurolink_mitm.core.redaction import Found, replaced
from neurolink_mitm.core.redaction_body import redact_body, secrets
from neurolink_mitm.core.unreadable import UNREADABLE

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


def _edits(stream: str, pieces: list[_Piece], known: Sequence[str]) -> Iterator[Found]:
    """The JSON of events anew in which a part of a secret stands."""
    found = secrets("".join(piece.text for piece in pieces), known)
    left = deque(islice(found, 1))
    start = 0
    for piece in pieces:
        end = start + len(piece.text)
        inside = list(_inside(left, found, start, end))
        if inside:
            changed = replaced(piece.text, inside)
            yield Found(piece.start, piece.end, _with(stream, piece, changed))
        start = end


def _inside(left: deque[Found], found: Iterator[Found], start: int, end: int) -> Iterator[Found]:
    """Those with a part there; `left` is the first that may go on behind it."""
    while left and left[0].start < end:
        yield _within(left[0], start, end)
        if left[0].end > end:
            return
        left.popleft()
        left.extend(islice(found, 1))


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
