"""Masks secrets in event streams, and leaves every other byte unchanged.

A secret may be spread over the pieces of a text: those of the Messages API, of OpenAI's chat and of its Responses API.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import cache
from heapq import merge
from itertools import groupby, islice
from operator import attrgetter

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.redact.body import redact_body, secrets
from neurolink_mitm.core.redact.text import MASK, SecretMatch, replaced
from neurolink_mitm.core.request import json_spans as spans
from neurolink_mitm.core.request.json_spans import Edit, Part, Span

_FIELD = "data:"
_MESSAGES = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
_CHAT = ("content", "reasoning_content", "refusal")

Path = tuple[str | int, ...]
"""The way to a value in an event's JSON: names of members, and places in lists."""


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    partial_json: str = ""


class _Function(msgspec.Struct):
    arguments: str | None = None


class _Custom(msgspec.Struct):
    input: str | None = None


class _Call(msgspec.Struct):
    index: int = 0
    function: _Function | None = None
    custom: _Custom | None = None


class _ChatDelta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _ChatDelta | None = None


class _Event(msgspec.Struct):
    type: str = ""
    index: int = 0
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    delta: _Delta | str | None = None
    choices: list[_Choice] | None = None


_decoder = msgspec.json.Decoder(_Event)


class _Piece(msgspec.Struct, frozen=True, gc=False):
    """A piece of a text: the place of its event's JSON in the stream, and the way to the piece in there."""

    start: int
    end: int
    path: Path
    text: str


def redact_stream(text: str, known: Sequence[str] = ()) -> str:
    """Mask secrets in an event stream; events without secrets stay unchanged."""
    masked = merge(*(_masked(pieces, known) for pieces in _texts(text)), key=attrgetter("start"))
    return redact_body(replaced(text, _edits(text, masked)), known)


def _texts(stream: str) -> Iterator[list[_Piece]]:
    """Yield the pieces of each text."""
    texts: defaultdict[Hashable, list[_Piece]] = defaultdict(list)
    for start, end in _data(stream):
        try:
            event = _decoder.decode(stream[start:end])
        except UNREADABLE:
            continue
        for key, path, text in _pieces(event):
            texts[key].append(_Piece(start, end, path, text))
    yield from texts.values()


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


def _pieces(event: _Event) -> Iterator[tuple[Hashable, Path, str]]:
    """Yield the pieces in an event: which text each belongs to, the way to it, and itself."""
    if isinstance(event.delta, str):
        part = (event.type, event.output_index, event.content_index, event.summary_index)
        yield part, ("delta",), event.delta
    elif event.delta and (member := _MESSAGES.get(event.delta.type)):
        yield (event.index, member), ("delta", member), getattr(event.delta, member)
    for at, choice in enumerate(event.choices or ()):
        for key, path, text in _of_chat(choice.delta) if choice.delta else ():
            yield (choice.index, key), ("choices", at, "delta", *path), text


def _of_chat(delta: _ChatDelta) -> Iterator[tuple[Hashable, Path, str]]:
    for name in _CHAT:
        if text := getattr(delta, name):
            yield name, (name,), text
    for at, call in enumerate(delta.tool_calls or ()):
        if call.function and call.function.arguments:
            path = ("tool_calls", at, "function", "arguments")
            yield (call.index, "function"), path, call.function.arguments
        if call.custom and call.custom.input:
            path = ("tool_calls", at, "custom", "input")
            yield (call.index, "custom"), path, call.custom.input


def _masked(pieces: list[_Piece], known: Sequence[str]) -> Iterator[_Piece]:
    """Yield the pieces of a text that have a part of a secret, without it."""
    matches = secrets("".join(piece.text for piece in pieces), known)
    pending = deque(islice(matches, 1))
    start = 0
    for piece in pieces:
        end = start + len(piece.text)
        if inside := list(_inside(pending, matches, start, end)):
            yield _Piece(piece.start, piece.end, piece.path, replaced(piece.text, inside))
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


def _edits(stream: str, masked: Iterator[_Piece]) -> Iterator[SecretMatch]:
    """Yield the new JSON of each event that has a part of a secret."""
    for _, of_event in groupby(masked, key=attrgetter("start")):
        pieces = list(of_event)
        start, end = pieces[0].start, pieces[0].end
        event = stream[start:end].encode("utf-8", "surrogatepass")
        place = _places(event)
        try:
            edits = [Edit(place(each.path), msgspec.json.encode(each.text)) for each in pieces]
        except ValueError:  # a member occurs twice: readers differ on which one counts
            yield SecretMatch(start, end, f'"{MASK}"')
        else:
            yield SecretMatch(start, end, spans.apply(event, edits).decode())


def _places(event: bytes) -> Callable[[Path], Span]:
    """Return a function that finds values in an event's JSON, and reads no part of it twice."""

    @cache
    def parts(path: Path) -> list[Part]:
        return spans.parts(event, place(path))

    def place(path: Path) -> Span:
        if not path:
            return spans.root(event)
        within, step = parts(path[:-1]), path[-1]
        found = within[step].value if isinstance(step, int) else spans.named(within, step)
        assert found, "the decoder has just read it there"
        return found

    return place
