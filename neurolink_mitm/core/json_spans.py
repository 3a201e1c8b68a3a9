"""Where the parts of a JSON text lie, so that one part can be changed and all other bytes stay as they are.

msgspec steps over the values at the speed of C and tells how long each is; where each begins follows from that.
What can't be read raises `ValueError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from neurolink_mitm.core import json_groups
from neurolink_mitm.core.unreadable import UNREADABLE

_SPACE = re.compile(rb"[ \t\r\n]*+")
_INSIDE = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_FLAT_OBJECT = re.compile(rb'\{(?:[^"{}\[\]]++|"%s")*+\}' % _INSIDE, re.DOTALL)
_LARGEST_FLAT = 1 << 14
"""Bytes of an object that is found without reading the text: `metadata` has some hundreds."""
_items = msgspec.json.Decoder(list[msgspec.Raw])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string = msgspec.json.Decoder(str)
_strings = msgspec.json.Decoder(list[str])


class Span(msgspec.Struct, frozen=True, gc=False):
    """A value: `body[start:end]` is its text."""

    start: int
    end: int

    def of(self, body: bytes) -> bytes:
        return body[self.start : self.end]


class Part(msgspec.Struct, frozen=True, gc=False):
    """A member of an object or an item of a list, and its value. `whole` has the name, too."""

    name: str
    whole: Span
    value: Span


class Edit(msgspec.Struct, frozen=True, gc=False):
    """These bytes in place of those."""

    span: Span
    text: bytes


def root(body: bytes) -> Span:
    """The value that the text is."""
    return Span(_after_space(body, 0), len(body.rstrip(b" \t\r\n")))


def parts(body: bytes, of: Span) -> list[Part]:
    """The members of an object, the items of a list (without names); nothing of any other value."""
    opening = body[of.start : of.start + 1]
    try:
        if opening == b"[":
            return list(_parts_of_list(body, of))
        if opening == b"{":
            return list(_parts_of_object(body, of))
    except UNREADABLE as e:
        raise ValueError("not JSON") from e
    return []


def items(body: bytes, of: Span) -> Iterator[tuple[int, int]]:
    """Where each item of a list begins and ends."""
    try:
        yield from _items_of_list(body, of)
    except UNREADABLE as e:
        raise ValueError("not JSON") from e


def member(body: bytes, of: Span, name: str) -> Span | None:
    """The value of a member, if it is there."""
    return next((part.value for part in parts(body, of) if part.name == name), None)


def text(body: bytes, of: Span | None) -> str | None:
    """A string, decoded; None of any other value."""
    if of is None or body[of.start : of.start + 1] != b'"':
        return None
    return _text(of.of(body))


def texts(body: bytes, insides: Iterable[Span]) -> list[str]:
    """The strings between whose quotes these spans are, decoded in one go. Raises `ValueError`."""
    tokens = (body[inside.start - 1 : inside.end + 1] for inside in insides)
    try:
        return _strings.decode(b"[%s]" % b",".join(tokens))
    except UNREADABLE as e:
        raise ValueError("not JSON strings") from e


def strings(body: bytes, of: Span) -> Iterator[Span]:
    """What stands between the quotes of all strings in a value, those of names too. Of any length: in small steps."""
    at = body.find(b'"', of.start, of.end)
    while at >= 0:
        end = _string_end(body, at + 1, of.end)
        if end < 0:
            return
        yield Span(at + 1, end)
        at = body.find(b'"', end + 1, of.end)


def _string_end(body: bytes, start: int, stop: int) -> int:
    """The quote that ends the string; -1 where there is none."""
    at = start
    while (end := body.find(b'"', at, stop)) >= 0:
        before = body[at:end]
        if (len(before) - len(before.rstrip(b"\\"))) % 2 == 0:
            return end
        at = end + 1
    return -1


def without(all_parts: Sequence[Part], gone: Iterable[Part]) -> list[Edit]:
    """The edits that take parts out of the object or list which has `all_parts`, each with one comma."""
    dropped = {part.whole.start for part in gone}
    wholes = (part.whole for part in all_parts)
    return list(cuts((whole.start, whole.end, whole.start in dropped) for whole in wholes))


def cuts(parts: Iterable[tuple[int, int, bool]]) -> Iterator[Edit]:
    """The edits that take parts out of an object or list, each with one comma: where all of them begin and end, and
    whether they go. Neighbours go at once."""
    kept: int | None = None  # the end of the last one that stays
    begin, last = -1, -1  # of those that go
    for start, end, goes in parts:
        if goes:
            begin = begin if begin >= 0 else start if kept is None else kept
            last = end
            continue
        if begin >= 0:  # with the comma before them, or else with the one behind
            yield Edit(Span(begin, start if kept is None else last), b"")
            begin = -1
        kept = end
    if begin >= 0:
        yield Edit(Span(begin, last), b"")


def added(body: bytes, of: Span, text: bytes) -> Edit:
    """The edit that puts a member (with its name), or items, behind those of an object or list."""
    there = parts(body, of)
    if there:
        end = there[-1].whole.end
        return Edit(Span(end, end), b"," + text)
    return Edit(Span(of.start + 1, of.start + 1), text)


def lone_member(body: bytes, name: str) -> Span | None:
    """The value of the only member of this name, at whatever depth: None if there are several, or none.

    An object, found in a tenth of the time that `member` takes for a long text. `name` has nothing to be escaped.
    """
    start = _behind_lone_name(body, Span(0, len(body)), name)
    found = start and _FLAT_OBJECT.match(body, start, start + _LARGEST_FLAT)
    return Span(start, found.end()) if start and found else None


def lone_string(body: bytes, of: Span, name: str) -> Span | None:
    """The same for a string somewhere in a value."""
    start = _behind_lone_name(body, of, name)
    if not start or body[start : start + 1] != b'"':
        return None
    return Span(start, _string_end(body, start + 1, of.end) + 1)


def _behind_lone_name(body: bytes, of: Span, name: str) -> int | None:
    """Where the value begins, if nothing else there is written like the name."""
    token = b'"%s"' % name.encode()
    at = body.find(token, of.start, of.end)
    if at < 1 or body[at - 1 : at] == b"\\" or body.find(token, at + 1, of.end) >= 0:
        return None  # with a backslash, it is the end of a string or of another name
    colon = _after_space(body, at + len(token))
    return _after_space(body, colon + 1) if body[colon : colon + 1] == b":" else None


def apply(body: bytes, edits: Iterable[Edit]) -> bytes:
    """The text with all edits made; they don't overlap. With none, the very same object."""
    pieces: list[bytes] = []
    at = 0
    for edit in sorted(edits, key=lambda each: each.span.start):
        pieces += (body[at : edit.span.start], edit.text)
        at = edit.span.end
    if not pieces:
        return body
    pieces.append(body[at:])
    return b"".join(pieces)


def _parts_of_list(body: bytes, of: Span) -> Iterator[Part]:
    for start, end in _items_of_list(body, of):
        value = Span(start, end)
        yield Part("", value, value)


def _items_of_list(body: bytes, of: Span) -> Iterator[tuple[int, int]]:
    for group in groups(body, of):
        at = group.start
        for raw in _items.decode(bracketed(body, of, group)):
            start = _after_space(body, at)
            end = start + memoryview(raw).nbytes
            yield start, end
            at = _after_space(body, end) + 1  # the comma


def groups(body: bytes, of: Span) -> Iterator[Span]:
    """What is between the brackets of a list or an object, in groups that are read soon."""
    if of.end - of.start <= json_groups.LARGE:
        yield Span(of.start + 1, of.end - 1)
        return
    if body[of.end - 1 : of.end] not in (b"]", b"}"):
        raise ValueError("not JSON")
    brackets = b"%c%c" % (body[of.start], body[of.end - 1])
    for start, end in json_groups.groups(body, of.start + 1, of.end - 1, brackets):
        yield Span(start, end)


def bracketed(body: bytes, of: Span, group: Span) -> bytes | memoryview:
    """A group as a list or an object by itself."""
    if (group.start, group.end) == (of.start + 1, of.end - 1):
        return memoryview(body)[of.start : of.end]
    return b"%c%b%c" % (body[of.start], group.of(body), body[of.end - 1])


def _parts_of_object(body: bytes, of: Span) -> Iterator[Part]:
    names: set[str] = set()
    for group in groups(body, of):
        at = group.start
        members = _members.decode(bracketed(body, of, group))
        if not names.isdisjoint(members):
            raise ValueError("a member occurs twice")
        for name, raw in members.items():
            start = _after_space(body, at)
            value_start = _value_start(body, start, name)
            value = Span(value_start, value_start + memoryview(raw).nbytes)
            yield Part(name, Span(start, value.end), value)
            at = _after_space(body, value.end) + 1  # the comma
        if _after_space(body, group.start) < group.end and at != group.end + 1:
            raise ValueError("a member occurs twice")
        if group.end < of.end - 1:
            names.update(members)


def _value_start(body: bytes, start: int, name: str) -> int:
    """Behind the name that begins at `start`, and its colon."""
    quoted = b'"%s":' % name.encode("utf-8", "surrogatepass")
    if body.startswith(quoted, start):  # nearly always
        return _after_space(body, start + len(quoted))
    end = _string_end(body, start + 1, len(body)) + 1
    if body[start : start + 1] != b'"' or _text(body[start:end]) != name:
        raise ValueError("a member occurs twice")
    return _after_space(body, _after_space(body, end) + 1)


def _text(token: bytes) -> str:
    try:
        return _string.decode(token)
    except UNREADABLE as e:
        raise ValueError("not a JSON string") from e


def _after_space(body: bytes, at: int) -> int:
    if at < len(body) and body[at] > 32:  # nearly always
        return at
    found = _SPACE.match(body, at)
    return found.end() if found else at
