"""Compares two captured sides: what differs between them, by header field and by the place in the body.

Bodies are compared value by value of their JSON, so that the work follows what differs, and not the size. Text is
compared from both ends; between them, the next few characters that both have are where they agree again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.redact.text import MASK
from neurolink_mitm.core.request.json_spans import Span, parts, root

Pairs = Sequence[tuple[str, str]]

MOST = 100
"""Changes that are listed."""
SHOWN = 400
"""Characters of a text that are shown of each change."""
CONTEXT = 32
"""Characters in front of a change, and behind it."""
ANCHOR = 12
"""Characters that both texts have where they agree again."""
WINDOW = 4096
"""Characters in which that place is looked for."""
DEEPEST = 100
"""Levels of JSON that are looked into."""


@dataclass(frozen=True, slots=True)
class Change:
    """A difference. `where` is a header's name or a place in the JSON; `at` the offset in the first body, in bytes."""

    where: str
    before: str = ""
    after: str = ""
    lead: str = ""
    trail: str = ""
    at: int | None = None

    @property
    def kind(self) -> str:
        if not self.before:
            return "added"
        return "changed" if self.after else "removed"


def header_changes(old: Pairs, new: Pairs) -> list[Change]:
    """Return the header fields that differ; the order of fields of different names does not count."""
    before, after = _by_name(old), _by_name(new)
    changes = []
    for name in dict.fromkeys((*before, *after)):
        was, now = before.get(name, ""), after.get(name, "")
        if was != now or (MASK in was and was == now):
            changes.append(Change(name, was, now))
    return changes


def _by_name(fields: Pairs) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in fields:
        key = name.lower()
        values[key] = f"{values[key]}\n{value}" if key in values else value
    return values


def body_changes(old: bytes, new: bytes) -> list[Change]:
    """Return the spans that differ, in the order of the body; `MOST` at most."""
    if old == new:
        return []
    try:
        return list(islice(_values(old, root(old), new, root(new), "", 0), MOST))
    except (ValueError, *UNREADABLE):
        return list(islice(_texts(old, new, "", 0), MOST))


def _values(old: bytes, a: Span, new: bytes, b: Span, where: str, depth: int) -> Iterator[Change]:
    """Yield the changes between two values."""
    was, now = a.of(old), b.of(new)
    if was == now:
        return
    kinds = was[:1] + now[:1]
    if kinds == b"{{" and depth < DEEPEST:
        yield from _members(old, a, new, b, where, depth + 1)
    elif kinds == b"[[" and depth < DEEPEST:
        yield from _items(old, a, new, b, where, depth + 1)
    else:
        yield from _texts(was, now, where, a.start)


def _members(old: bytes, a: Span, new: bytes, b: Span, where: str, depth: int) -> Iterator[Change]:
    before = {part.name: part.value for part in parts(old, a)}
    after = {part.name: part.value for part in parts(new, b)}
    for name in dict.fromkeys((*before, *after)):
        place = f"{where}.{name}" if where else name
        if name not in after:
            yield _removed(old, before[name], place)
        elif name not in before:
            yield _added(new, after[name], place, a.end)
        else:
            yield from _values(old, before[name], new, after[name], place, depth)


def _items(old: bytes, a: Span, new: bytes, b: Span, where: str, depth: int) -> Iterator[Change]:
    before = [part.value for part in parts(old, a)]
    after = [part.value for part in parts(new, b)]
    was, now = [each.of(old) for each in before], [each.of(new) for each in after]
    first = 0
    while first < min(len(was), len(now)) and was[first] == now[first]:
        first += 1
    last = 0
    while last < min(len(was), len(now)) - first and was[-1 - last] == now[-1 - last]:
        last += 1
    both = min(len(was), len(now)) - first - last
    for at in range(first, first + both):
        yield from _values(old, before[at], new, after[at], f"{where}[{at}]", depth)
    for at in range(first + both, len(was) - last):
        yield _removed(old, before[at], f"{where}[{at}]")
    for at in range(first + both, len(now) - last):
        yield _added(
            new, after[at], f"{where}[{at}]", before[at].start if at < len(before) else a.end
        )


def _removed(old: bytes, span: Span, where: str) -> Change:
    return Change(where, before=_cut(_text(span.of(old))), at=span.start)


def _added(new: bytes, span: Span, where: str, at: int) -> Change:
    return Change(where, after=_cut(_text(span.of(new))), at=at)


def _texts(old: bytes, new: bytes, where: str, start: int) -> Iterator[Change]:
    """Yield the changes between two texts, of which the first begins at the offset `start`."""
    for i, i_end, j, j_end in spans(old, new):
        yield Change(
            where,
            _cut(_text(old[i:i_end])),
            _cut(_text(new[j:j_end])),
            _text(old[max(0, i - CONTEXT) : i]),
            _text(old[i_end : i_end + CONTEXT]),
            start + i,
        )


def spans(old: bytes, new: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield where the texts differ: from and to in the old one, from and to in the new one."""
    tail = _common_end(old, new)
    old_end, new_end = len(old) - tail, len(new) - tail
    i = j = 0
    while True:
        same = _common_start(old, i, old_end, new, j, new_end)
        i, j = i + same, j + same
        if i >= old_end and j >= new_end:
            return
        i_next, j_next = _agreement(old, i, old_end, new, j, new_end)
        yield i, i_next, j, j_next
        i, j = i_next, j_next


def _agreement(
    old: bytes, i: int, old_end: int, new: bytes, j: int, new_end: int
) -> tuple[int, int]:
    """Return the next places at which the texts agree again, or their ends."""
    for at in range(i, min(i + WINDOW, old_end - ANCHOR)):
        place = new.find(old[at : at + ANCHOR], j, min(j + WINDOW, new_end))
        if place >= 0:
            while at > i and place > j and old[at - 1] == new[place - 1]:
                at, place = at - 1, place - 1
            return at, place
    return old_end, new_end


def _common_start(old: bytes, i: int, old_end: int, new: bytes, j: int, new_end: int) -> int:
    most = min(old_end - i, new_end - j)
    low, high = 0, most  # the texts agree up to `low`
    while low < high:
        middle = (low + high + 1) // 2
        if old[i + low : i + middle] == new[j + low : j + middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_end(old: bytes, new: bytes) -> int:
    most = min(len(old), len(new))
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if old[len(old) - middle : len(old) - low] == new[len(new) - middle : len(new) - low]:
            low = middle
        else:
            high = middle - 1
    start = _common_start(old, 0, len(old), new, 0, len(new))
    return min(low, most - start)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"
