"""Long lists and objects of JSON in groups of neighbours, so that none takes long to read.

msgspec reads a value in one call, which keeps the GIL: of a list with millions of items for a third of a second. Where
a list can be cut can't be seen at a comma, which may stand in a string or deeper; but what is whole between two
brackets is so only if the cut is between two items.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from neurolink_mitm.core.unreadable import UNREADABLE

LARGE = 1 << 19
"""Bytes that are read at once: some milliseconds, whatever they are."""
_SIZE = 1 << 18
_TRIES, _LATER_TRIES = 4, 2
"""Commas that are tried at first, and in each larger piece: each costs that the piece is read."""
_HEAD = 8
_raw = msgspec.json.Decoder(msgspec.Raw)


def groups(body: bytes, start: int, stop: int, brackets: bytes) -> Iterator[tuple[int, int]]:
    """What stands between the brackets of a list (`[]`) or an object (`{}`), cut at commas between its items.

    A group is larger where no such comma is near, since an item is, or nearly all commas are inside of items.
    """
    head = body[start : start + _HEAD]
    at = start
    while stop - at > LARGE:
        cut = _cut(body, at, stop, head, brackets)
        if cut is None:
            break
        yield at, cut
        at = cut + 1
    yield at, stop


def _cut(body: bytes, at: int, stop: int, head: bytes, brackets: bytes) -> int | None:
    size, tries = _SIZE, _TRIES
    while at + size < stop:
        for comma in _commas(body, at + size, min(at + 2 * size, stop), head, tries):
            if _is_whole(body[at:comma], brackets):
                return comma
        size, tries = 2 * size, _LATER_TRIES
    return None


def _commas(body: bytes, at: int, stop: int, head: bytes, tries: int) -> Iterator[int]:
    """Some between these places: where an item begins as the first one does, and others here and there."""
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
        _raw.decode(b"%c%b%c" % (brackets[0], inside, brackets[1]))
    except UNREADABLE:
        return False
    return True
