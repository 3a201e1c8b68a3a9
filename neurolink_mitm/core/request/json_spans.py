"""The spans of the values in a JSON text: one value can be edited, and all other bytes stay as they are.

msgspec steps over the values at the speed of C and returns the length of each; the start of each follows from that.
Text that can't be read raises `ValueError`.

A long list or object is read in groups of neighbouring items: one call of msgspec keeps the GIL until it returns, a
third of a second for a list with millions of items. A comma may stand inside of a string or of an item, so a cut is
good only if the text before it, in brackets, is JSON by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE

LARGE = 1 << 19
"""Bytes of JSON that one call reads at most, where the text can be cut: some milliseconds."""
_GROUP = 1 << 18
"""Bytes of a group at least."""
_TRIES, _LATER_TRIES = 4, 2
"""Commas that are tried as a cut in the first piece, and in each longer one; each try reads the piece."""
_HEAD = 8
"""Bytes by which an item is compared with the first one."""
_SPACE = re.compile(rb"[ \t\r\n]*+")
_any = msgspec.json.Decoder(msgspec.Raw)
_items = msgspec.json.Decoder(list[msgspec.Raw])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string = msgspec.json.Decoder(str)
_strings = msgspec.json.Decoder(list[str])


class Span(msgspec.Struct, frozen=True, gc=False):
    """The place of a value: its text is `body[start:end]`."""

    start: int
    end: int

    def of(self, body: bytes) -> bytes:
        """Return the text of the value."""
        return body[self.start : self.end]


class Part(msgspec.Struct, frozen=True, gc=False):
    """A member of an object, or an item of a list. `whole` is the span of `name` and value together."""

    name: str
    whole: Span
    value: Span


class Edit(msgspec.Struct, frozen=True, gc=False):
    """A replacement of the bytes in `span` by `text`."""

    span: Span
    text: bytes


# Finding values


def root(body: bytes) -> Span:
    """Return the span of the whole value, without the white space around it."""
    return Span(_after_space(body, 0), len(body.rstrip(b" \t\r\n")))


def parts(body: bytes, span: Span) -> list[Part]:
    """Return the members of an object or the items of a list (without names); nothing for any other value.

    Raises `ValueError` for what is not JSON, or where a name occurs twice (readers differ on which one counts).
    """
    try:
        if body.startswith(b"[", span.start):
            return [
                Part("", value, value) for value in (Span(*at) for at in _items_of_list(body, span))
            ]
        if body.startswith(b"{", span.start):
            return list(_parts_of_object(body, span))
    except UNREADABLE as e:
        raise ValueError("not JSON") from e
    return []


def items(body: bytes, span: Span) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each item of a list. Raises `ValueError`."""
    try:
        yield from _items_of_list(body, span)
    except UNREADABLE as e:
        raise ValueError("not JSON") from e


def named(members: Iterable[Part], name: str) -> Span | None:
    """Return the span of the value of the member called `name`, if there is one."""
    return next((part.value for part in members if part.name == name), None)


def member(body: bytes, span: Span, name: str) -> Span | None:
    """Return the span of the value of one member of the object in `span`, if there is one."""
    return named(parts(body, span), name)


def lone_string(body: bytes, span: Span, name: str) -> Span | None:
    """Return the span of a string whose name occurs once in `span`, at whatever depth; None in any other case.

    It takes a tenth of the time of `member`. `name` must not need an escape.
    """
    token = b'"%s"' % name.encode()
    at = body.find(token, span.start, span.end)
    if at < 1 or body[at - 1 : at] == b"\\" or body.find(token, at + 1, span.end) >= 0:
        return None  # behind a backslash it is the end of a string or of another name
    colon = _after_space(body, at + len(token))
    start = _after_space(body, colon + 1)
    if not body.startswith(b":", colon) or not body.startswith(b'"', start):
        return None
    return Span(start, _string_end(body, start + 1, span.end) + 1)


# Reading strings


def text(body: bytes, span: Span | None) -> str | None:
    """Return a string, decoded; None for any other value."""
    if span is None or not body.startswith(b'"', span.start):
        return None
    return _text(span.of(body))


def type_of(body: bytes, span: Span) -> str | None:
    """Return the `type` of the object in `span`, if it is a string. Raises `ValueError`."""
    return text(body, member(body, span, "type"))


def texts(body: bytes, insides: Iterable[Span]) -> list[str]:
    """Decode the strings between whose quotes `insides` are, in one call. Raises `ValueError`."""
    tokens = (body[inside.start - 1 : inside.end + 1] for inside in insides)
    try:
        return _strings.decode(b"[%s]" % b",".join(tokens))
    except UNREADABLE as e:
        raise ValueError("not JSON strings") from e


def strings(body: bytes, span: Span) -> Iterator[Span]:
    """Yield the spans between the quotes of all strings in a value, names too; in small steps, whatever its length."""
    at = body.find(b'"', span.start, span.end)
    while at >= 0:
        end = _string_end(body, at + 1, span.end)
        if end < 0:
            return
        yield Span(at + 1, end)
        at = body.find(b'"', end + 1, span.end)


# Editing


def apply(body: bytes, edits: Iterable[Edit]) -> bytes:
    """Return the text with all edits made; they must not overlap. Without edits it is the same object."""
    pieces: list[bytes] = []
    at = 0
    for edit in sorted(edits, key=lambda each: each.span.start):
        pieces += (body[at : edit.span.start], edit.text)
        at = edit.span.end
    return b"".join((*pieces, body[at:])) if pieces else body


def without(all_parts: Sequence[Part], gone: Iterable[Part]) -> list[Edit]:
    """Return the edits that remove the parts in `gone`, each with one comma, from the value that has `all_parts`."""
    dropped = {part.whole.start for part in gone}
    wholes = (part.whole for part in all_parts)
    return list(cuts((whole.start, whole.end, whole.start in dropped) for whole in wholes))


def cuts(places: Iterable[tuple[int, int, bool]]) -> Iterator[Edit]:
    """Yield the edits that remove parts of an object or list, each with one comma; neighbours in one edit.

    `places` has start, end, and whether it goes, of all parts in order.
    """
    stays: int | None = None  # the end of the last part that stays
    begin, last = -1, -1  # of the parts that go
    for start, end, goes in places:
        if goes:
            begin = begin if begin >= 0 else start if stays is None else stays
            last = end
            continue
        if begin >= 0:  # with the comma before them, or else with the one behind
            yield Edit(Span(begin, start if stays is None else last), b"")
            begin = -1
        stays = end
    if begin >= 0:
        yield Edit(Span(begin, last), b"")


def added(span: Span, all_parts: Sequence[Part], text: bytes) -> Edit:
    """Return the edit that puts a member (with its name), or items, behind `all_parts` of the value in `span`."""
    if all_parts:
        end = all_parts[-1].whole.end
        return Edit(Span(end, end), b"," + text)
    return Edit(Span(span.start + 1, span.start + 1), text)


def moved(members: Iterable[Part], edits: Iterable[Edit]) -> list[Part] | None:
    """Return where `members` are after `edits` in their values; None where an edit is not inside of one value."""
    shift, result = 0, []
    left = sorted(edits, key=lambda each: each.span.start, reverse=True)
    for part in members:
        before = shift
        while left and left[-1].span.start < part.value.end:
            span = left[-1].span
            if span.start < part.value.start or span.end > part.value.end:
                return None
            shift += len(left.pop().text) - (span.end - span.start)
        result.append(
            Part(
                part.name,
                Span(part.whole.start + before, part.whole.end + shift),
                Span(part.value.start + before, part.value.end + shift),
            )
        )
    return None if left else result


# Reading long lists and objects


def groups(body: bytes, span: Span) -> Iterator[Span]:
    """Yield the inside of a list or an object in groups of items, each of which is read soon.

    A group is larger than `LARGE` where no cut is near: an item is, or nearly all commas are inside of items.
    """
    at, stop = span.start + 1, span.end - 1
    if span.end - span.start > LARGE:
        if body[stop : span.end] not in (b"]", b"}"):
            raise ValueError("not JSON")
        brackets = b"%c%c" % (body[span.start], body[stop])
        head = body[at : at + _HEAD]
        while stop - at > LARGE and (cut := _cut(body, at, stop, head, brackets)) is not None:
            yield Span(at, cut)
            at = cut + 1
    yield Span(at, stop)


def bracketed(body: bytes, span: Span, group: Span) -> bytes | memoryview:
    """Return a group of the value in `span` as a list or an object by itself."""
    if (group.start, group.end) == (span.start + 1, span.end - 1):
        return memoryview(body)[span.start : span.end]
    return b"%c%b%c" % (body[span.start], group.of(body), body[span.end - 1])


def _cut(body: bytes, at: int, stop: int, head: bytes, brackets: bytes) -> int | None:
    size, tries = _GROUP, _TRIES
    while at + size < stop:
        for comma in _commas(body, at + size, min(at + 2 * size, stop), head, tries):
            if _is_whole(body[at:comma], brackets):
                return comma
        size, tries = 2 * size, _LATER_TRIES
    return None


def _commas(body: bytes, at: int, stop: int, head: bytes, tries: int) -> Iterator[int]:
    """Yield some commas: one before an item that begins as the first one does, and others here and there."""
    alike = body.find(head, at, stop)
    if alike > at and (before := body[at:alike].rstrip()).endswith(b","):
        yield at + len(before) - 1
    step = max(1, (stop - at) // tries)
    for place in range(at, stop, step):
        comma = body.find(b",", place, stop)
        if comma < 0:
            return
        yield comma


def _is_whole(inside: bytes, brackets: bytes) -> bool:
    try:
        _any.decode(b"%c%b%c" % (brackets[0], inside, brackets[1]))
    except UNREADABLE:
        return False
    return True


def _items_of_list(body: bytes, span: Span) -> Iterator[tuple[int, int]]:
    for group in groups(body, span):
        at = group.start
        for raw in _items.decode(bracketed(body, span, group)):
            start = _after_space(body, at)
            end = start + memoryview(raw).nbytes
            yield start, end
            at = _after_space(body, end) + 1  # the comma


def _parts_of_object(body: bytes, span: Span) -> Iterator[Part]:
    names: set[str] = set()
    for group in groups(body, span):
        at = group.start
        members = _members.decode(bracketed(body, span, group))
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
        if group.end < span.end - 1:
            names.update(members)


def _value_start(body: bytes, start: int, name: str) -> int:
    """Return the place behind the name that begins at `start`, and behind its colon."""
    quoted = b'"%s":' % name.encode("utf-8", "surrogatepass")
    if body.startswith(quoted, start):  # nearly always
        return _after_space(body, start + len(quoted))
    end = _string_end(body, start + 1, len(body)) + 1
    if not body.startswith(b'"', start) or _text(body[start:end]) != name:
        raise ValueError("a member occurs twice")
    return _after_space(body, _after_space(body, end) + 1)


def _string_end(body: bytes, start: int, stop: int) -> int:
    """Return the place of the quote that ends the string; -1 where there is none."""
    at = start
    while (end := body.find(b'"', at, stop)) >= 0:
        before = body[at:end]
        if (len(before) - len(before.rstrip(b"\\"))) % 2 == 0:
            return end
        at = end + 1
    return -1


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
