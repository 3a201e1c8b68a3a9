"""The strings of a request that are somebody's words, and not the API's own."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

from neurolink_mitm.core import json_spans as spans
from neurolink_mitm.core.json_spans import Part, Span

OWN = frozenset(
    {"type", "role", "id", "tool_use_id", "model", "signature", "cache_control", "media_type",
     "encrypted_content", "encrypted_index", "file_id"}
)  # fmt: skip
"""Members of the API's own objects that have to come back as they were, or are read by the API."""
THINKING = frozenset({"thinking", "redacted_thinking"})
"""Blocks that are signed, with the placeholders they were thought with."""
FREE = frozenset({"input", "input_examples", "input_schema", "schema", "parameters"})
"""Values of the client's own form: names in them are words as well."""
_ESCAPE = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.", re.DOTALL)


def regions(body: bytes) -> Iterator[Span]:
    """The parts of a request that can be looked at by themselves: messages, tools, all else.

    Most of them are the same in each request of a session. Raises `ValueError`.
    """
    for part in spans.parts(body, spans.root(body)):
        if part.name in OWN:
            continue
        if part.name in ("messages", "system"):
            yield from (each.value for each in spans.parts(body, part.value))
        if part.name != "messages" and (part.name != "system" or _is_text(body, part)):
            yield part.value


def texts(body: bytes, of: Span, *, free: bool = False) -> Iterator[Span]:
    """What stands between the quotes of the strings in a value; `free` with the names of members."""
    opening = body[of.start : of.start + 1]
    if free or opening == b'"':
        for token in spans.STRING.finditer(body, of.start, of.end):
            yield Span(token.start() + 1, token.end() - 1)
    elif opening == b"[":
        for item in spans.parts(body, of):
            yield from texts(body, item.value)
    elif opening == b"{":
        yield from _of_object(body, spans.parts(body, of))


def _of_object(body: bytes, members: list[Part]) -> Iterator[Span]:
    kind = next((spans.text(body, part.value) for part in members if part.name == "type"), None)
    if kind in THINKING:
        return
    for part in members:
        own = part.name in OWN or (part.name == "data" and kind == "base64")
        if not own or not _is_text(body, part):  # of the API's own, texts alone
            yield from texts(body, part.value, free=part.name in FREE)


def _is_text(body: bytes, part: Part) -> bool:
    return body[part.value.start : part.value.start + 1] == b'"'


class Written:
    """A string as it is written in JSON: where in it the characters of its value are."""

    def __init__(self, raw: str) -> None:
        self._raw = raw
        self._ends: list[int] = []  # places in the value at which an escape has ended
        self._longer: list[int] = []  # how much longer it is written up to there
        longer = 0
        for escape in _ESCAPE.finditer(raw):
            longer += len(escape[0]) - 1
            self._ends.append(escape.end() - longer)
            self._longer.append(longer)

    def place(self, at: int) -> int:
        """The byte at which the character `at` begins; just after the last one, where the string ends."""
        index = bisect_right(self._ends, at)
        place = at + (self._longer[index - 1] if index else 0)
        return place if self._raw.isascii() else len(self._raw[:place].encode())
