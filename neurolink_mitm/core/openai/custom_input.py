"""The text for a custom tool, out of the JSON of its call as that streams: `{"input": "…"}`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.providers.surrogates import Halves

CUSTOM_INPUT = "input"
"""The only member of a custom tool's call in a Messages request: the text that the tool gets."""
_BEGINNING = re.compile(r'\s{0,50}\{\s{0,50}"input"\s{0,50}:\s{0,50}"')
_LONGEST_BEGINNING = 200
"""Characters within which the text begins. Of a call that begins in another way it is taken at the end."""
_STEP = 1 << 16
"""Characters that are read in one step, which holds the GIL."""
_LETTERS = re.compile(r'(?:[^"\\]+|\\(?:[^u]|u[0-9a-fA-F]{4}|u(?![0-9a-fA-F]{0,3}\Z)))*', re.DOTALL)
"""What stands in a JSON string up to its end, or to an escape that is not complete."""
_ESCAPE = re.compile(r'\\(?:(["\\/bfnrt]|u[0-9a-fA-F]{4}))?')


@dataclass(slots=True)
class CustomInput:
    """Takes the JSON of a call in pieces, gives its text in pieces."""

    _head: list[str] = field(default_factory=list)
    """All JSON until the text has begun."""
    _head_size: int = 0
    _begun: bool = False
    _done: bool = False
    _held: str = ""
    """An escape that is not complete."""
    _halves: Halves = field(default_factory=Halves)

    def feed(self, piece: str) -> str:
        """Return what of the text is complete with this piece."""
        if len(piece) > _STEP:
            steps = range(0, len(piece), _STEP)
            return "".join([self.feed(piece[at : at + _STEP]) for at in steps])
        if not self._begun:
            piece = self._beginning(piece)
        if self._done or not piece:
            return ""
        piece = self._held + piece
        end = _end_of_letters(piece)
        self._held = piece[end:]
        self._done = self._held.startswith('"')
        return self._halves.feed(_decoded(piece[:end]))

    def end(self) -> str:
        """Return the rest, at the end of the call: all of its text where its JSON has another form."""
        return "" if self._begun else _text("".join(self._head))

    def _beginning(self, piece: str) -> str:
        """Return what has come of the text's JSON."""
        self._head.append(piece)
        if self._head_size > _LONGEST_BEGINNING:
            return ""
        self._head_size += len(piece)
        head = "".join(self._head)
        beginning = _BEGINNING.match(head)
        self._begun = beginning is not None
        return head[beginning.end() :] if beginning else ""


def _end_of_letters(piece: str) -> int:
    letters = _LETTERS.match(piece)
    return letters.end() if letters else 0


def _decoded(letters: str) -> str:
    """Return the text of the inside of a JSON string. A backslash that escapes nothing stands for itself."""
    try:
        text: str = json.loads(f'"{letters}"', strict=False)
    except ValueError:
        escaped = _ESCAPE.sub(lambda escape: escape[0] if escape[1] else r"\\", letters)
        text = json.loads(f'"{escaped}"', strict=False)
    return text


def _text(call: str) -> str:
    """Return the text of a call: its `input`, else its only value, else all of it."""
    try:
        members = msgspec.json.decode(call)
    except UNREADABLE:
        return call
    if not isinstance(members, dict) or not members:
        return "" if members == {} else call
    only = next(iter(members.values())) if len(members) == 1 else None
    text = members.get(CUSTOM_INPUT, only)
    return text if isinstance(text, str) else call
