"""The strings of a request that are text of the user or of the model, and not values of the API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from neurolink_mitm.core.request import json_spans as spans
from neurolink_mitm.core.request.body import BodyIndex
from neurolink_mitm.core.request.conversation import THINKING
from neurolink_mitm.core.request.json_spans import Part, Span

OWN = frozenset(
    {"type", "role", "id", "tool_use_id", "model", "signature", "cache_control", "media_type",
     "encrypted_content", "encrypted_index", "file_id"}
)  # fmt: skip
"""Members of the API's own objects that the API reads or checks: they must stay as they are."""
FREE = frozenset({"input", "input_examples", "input_schema", "schema", "parameters"})
"""Members whose values have a form of the client's: there, names are text as well."""
DEEPEST = 16
"""Levels of nesting that are read as the API's own form; each level is read once more for every level above it."""
_ESCAPE = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.", re.DOTALL)


def regions(index: BodyIndex) -> Iterator[Span]:
    """Yield the parts of a request that can be searched by themselves: each message, each system block, all else.

    Most of them are the same in each request of a session. Raises `ValueError`.
    """
    body = index.body
    for part in index.members:
        if part.name in OWN:
            continue
        if part.name in ("messages", "system"):
            yield from (each.value for each in spans.parts(body, part.value))
        if part.name != "messages" and (part.name != "system" or _is_text(body, part)):
            yield part.value


def texts(body: bytes, of: Span, *, free: bool = False, depth: int = 0) -> Iterator[Span]:
    """Yield the spans between the quotes of the strings in a value; with `free`, of the names of members, too."""
    if body.startswith(b'"', of.start):
        yield Span(of.start + 1, of.end - 1)
    elif free or depth > DEEPEST:
        yield from spans.strings(body, of)
    elif body.startswith(b"[", of.start):
        for start, end in spans.items(body, of):
            yield from texts(body, Span(start, end), depth=depth + 1)
    elif body.startswith(b"{", of.start):
        yield from _of_object(body, spans.parts(body, of), depth + 1)


def _of_object(body: bytes, members: list[Part], depth: int) -> Iterator[Span]:
    kind = next((spans.text(body, part.value) for part in members if part.name == "type"), None)
    if kind in THINKING:
        return  # signed, with the placeholders it was thought with
    for part in members:
        own = part.name in OWN or (part.name == "data" and kind == "base64")
        if not own or not _is_text(body, part):  # of the API's own, texts alone
            yield from texts(body, part.value, free=part.name in FREE, depth=depth)


def _is_text(body: bytes, part: Part) -> bool:
    return body.startswith(b'"', part.value.start)


class Written:
    """A string in JSON's notation: finds the place of each character of its value."""

    def __init__(self, raw: str) -> None:
        self._raw = raw
        self._escapes = _ESCAPE.finditer(raw)
        self._next = next(self._escapes, None)
        self._longer = 0  # how much longer it is written up to there
        self._counted, self._bytes = 0, 0

    def place(self, at: int) -> int:
        """Return the byte at which the character `at` begins; for the place behind the last one, the end.

        Calls must be in the order of the string, which is read once.
        """
        while self._next and self._next.start() - self._longer < at:
            self._longer += len(self._next[0]) - 1
            self._next = next(self._escapes, None)
        place = at + self._longer
        if self._raw.isascii():
            return place
        self._bytes += len(self._raw[self._counted : place].encode())
        self._counted = place
        return self._bytes


def unescaped(text: str) -> str:
    """Return a text that may contain JSON with its escapes replaced by characters."""
    return _ESCAPE.sub(_character, text)


def _character(escape: re.Match[str]) -> str:
    try:
        return str(json.loads(f'"{escape[0]}"'))
    except ValueError:
        return escape[0]
