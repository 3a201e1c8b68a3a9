"""Finds places in JSON with comments and trailing commas, as VS Code's settings are written.

Only the children of one object or list are listed at a time; values are skipped, not built.
https://code.visualstudio.com/docs/languages/json#_json-with-comments
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_GAP = re.compile(r"(?:[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_SCALAR = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|(//[^\r\n]*|/\*.*?\*/)', re.DOTALL)
_NESTING = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\r\n]*|/\*.*?\*/|([\[{])|([\]}])', re.DOTALL)
_STRINGS = json.JSONDecoder()
_CLOSING = {"{": "}", "[": "]"}
DEEPEST = 100
"""Levels of objects and lists."""


@dataclass(frozen=True, slots=True)
class Child:
    """A member of an object, or an item of a list, whose `name` is empty. `start` is before its name."""

    name: str
    start: int
    value_start: int
    end: int


def root(text: str) -> int | None:
    """Return the place of the object that a document is; None if it is blank.

    Raises:
        ValueError: the document is no JSON with comments, or not an object.
    """
    start = gap(text, 1 if text.startswith("\ufeff") else 0)
    if start == len(text):
        return None
    if text[start] != "{":
        raise ValueError("not a JSON object")
    end = gap(text, skip(text, start))
    if end != len(text):
        raise _fault(text, end, "something follows the JSON")
    return start


def gap(text: str, place: int) -> int:
    """Return the next place that is neither white space nor a comment."""
    match = _GAP.match(text, place)
    return match.end() if match else place


def skip(text: str, place: int, level: int = 0) -> int:
    """Return the place behind the value at `place`. Raises `ValueError`."""
    if text[place : place + 1] == '"':
        return _string(text, place)[1]
    if text[place : place + 1] not in _CLOSING:
        match = _SCALAR.match(text, place)
        if match is None:
            raise _fault(text, place, "no value")
        return match.end()
    if level == DEEPEST:
        raise ValueError("too many levels")
    inner = place + 1
    for child in _walk(text, place, lambda text, place: skip(text, place, level + 1)):
        inner = child.end
    closing = gap(text, inner)
    if text[closing] == ",":
        closing = gap(text, closing + 1)
    return closing + 1


def children(text: str, start: int) -> list[Child]:
    """Return the children of the object or list at `start`, in a text that `root` has accepted."""
    return list(_walk(text, start, _leap))


def _leap(text: str, place: int) -> int:
    """Return the place behind a value that is valid."""
    if text[place] not in _CLOSING:
        return skip(text, place)
    level = 0
    for match in _NESTING.finditer(text, place):
        level += bool(match[1]) - bool(match[2])
        if not level:
            return match.end()
    raise ValueError("no end")


def _walk(text: str, start: int, skip: Callable[[str, int], int]) -> Iterator[Child]:
    closing = _CLOSING[text[start]]
    place = gap(text, start + 1)
    while text[place : place + 1] != closing:
        name, value = "", place
        if closing == "}":
            name, value = _name(text, place)
        end = skip(text, value)
        yield Child(name, place, value, end)
        place = gap(text, end)
        if text[place : place + 1] == ",":
            place = gap(text, place + 1)
        elif text[place : place + 1] != closing:
            raise _fault(text, place, f"no comma and no {closing}")


def _name(text: str, place: int) -> tuple[str, int]:
    if text[place : place + 1] != '"':
        raise _fault(text, place, "no name")
    name, end = _string(text, place)
    colon = gap(text, end)
    if text[colon : colon + 1] != ":":
        raise _fault(text, colon, "no colon")
    return name, gap(text, colon + 1)


def _string(text: str, place: int) -> tuple[str, int]:
    value, end = _STRINGS.raw_decode(text, place)
    return str(value), end


def string(text: str, child: Child) -> str | None:
    """Return the value of a child that is a string."""
    return _string(text, child.value_start)[0] if text[child.value_start] == '"' else None


def comments(text: str) -> list[str]:
    """Return the comments of a text, in order."""
    return [match[1] for match in _TOKEN.finditer(text) if match[1]]


def _fault(text: str, place: int, what: str) -> ValueError:
    return ValueError(f"{what} (line {text.count(chr(10), 0, place) + 1})")
