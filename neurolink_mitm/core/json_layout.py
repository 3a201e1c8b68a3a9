"""The layout of a JSON object in a file that people edit: members can be changed, and all other text stays as it is.

Unlike `json_spans` it reads text, knows the white space around each member, and accepts a name that occurs twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

_BLANK = re.compile(r"[ \t\n\r]*")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# numbers are read as text: Python refuses to convert very long ones
_DECODER = json.JSONDecoder(parse_constant=_no_number, parse_int=str, parse_float=str)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object. `lead` is the white space before its name; `colon` is the text between name and value."""

    name: str
    value: object
    lead: str
    start: int
    colon: str
    value_start: int
    end: int


@dataclass(frozen=True, slots=True)
class JsonObject:
    """An object, from `{` to behind `}`. `tail` is the white space before `}`."""

    start: int
    end: int
    members: tuple[Member, ...]
    tail: str

    def find(self, name: str) -> Member | None:
        """Return the member called `name`; the last one if there are several, as readers of JSON do."""
        return next((each for each in reversed(self.members) if each.name == name), None)


def document(text: str) -> JsonObject | None:
    """Return the object that a document is, with or without a byte order mark; None if the document is blank.

    Raises:
        ValueError: the document is not JSON, or not an object.
    """
    start = _after_blank(text, 1 if text.startswith("\ufeff") else 0)
    if start == len(text):
        return None
    try:
        _, end = _DECODER.raw_decode(text, start)
    except RecursionError:
        raise ValueError("too many levels") from None
    if _after_blank(text, end) != len(text):
        raise ValueError(f"something follows the JSON (line {text.count(chr(10), 0, end) + 1})")
    if text[start] != "{":
        raise ValueError("not a JSON object")
    return span(text, start)


def span(text: str, start: int) -> JsonObject:
    """Return the object that begins at `start`, in text that is valid JSON."""
    members = tuple(_members(text, start + 1))
    inner = members[-1].end if members else start + 1
    end = _after_blank(text, inner)
    return JsonObject(start, end + 1, members, text[inner:end])


def _members(text: str, place: int) -> Iterator[Member]:
    while text[start := _after_blank(text, place)] != "}":
        name, name_end = _DECODER.raw_decode(text, start)
        value_start = _after_blank(text, _after_blank(text, name_end) + 1)
        value, end = _DECODER.raw_decode(text, value_start)
        colon = text[name_end:value_start]
        yield Member(name, value, text[place:start], start, colon, value_start, end)
        place = _after_blank(text, end)
        if text[place] == "}":
            return
        place += 1  # the comma


def _after_blank(text: str, place: int) -> int:
    found = _BLANK.match(text, place)
    return found.end() if found else place
