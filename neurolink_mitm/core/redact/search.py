"""Searches foreign text in time that is linear in its length, in steps of which none takes long.

`re` keeps the GIL for the whole of a call, on whatever thread: while one expression looks through megabytes, the
event loop stands. So a long text is searched window by window, and a value of any length is gone through in steps.

Finds e-mail addresses.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

WINDOW = 1 << 16
"""Characters that one call looks through at most: about a millisecond."""


def matches(pattern: re.Pattern[str], text: str, reach: int) -> Iterator[re.Match[str]]:
    """As `finditer` has them. No match, with what it looks ahead at, is longer than `reach` characters."""
    at, end = 0, len(text)
    while at < end:
        stop = at + WINDOW
        after = stop
        for match in pattern.finditer(text, at, min(stop + reach, end)):
            if match.start() >= stop:
                break
            after = max(stop, match.end())
            yield match
        at = after


def places(text: str, needle: str) -> Iterator[int]:
    """Where `needle` begins; none overlaps the one before."""
    at = text.find(needle)
    while at >= 0:
        yield at
        at = text.find(needle, at + len(needle))


def passed(step: re.Pattern[str], text: str, at: int) -> int:
    """Where a run of `step` that begins at `at` ends: `step` matches a bounded piece of it, or nothing."""
    while (match := step.match(text, at)) and match.end() > at:
        at = match.end()
    return at


def among(needles: Collection[str], text: str) -> frozenset[str]:
    """Those of `needles` (in lower case, at most 64 characters) that occur in the text in any case."""
    left, found = set(needles), set[str]()
    for at in range(0, len(text), WINDOW):
        lowered = text[at : at + WINDOW + 64].lower()
        new = {needle for needle in left if needle in lowered}
        left -= new
        found |= new
        if not left:
            break
    return frozenset(found)


LETTER = r"[\w\u0300-\u036f-]"
"""Of the name of a host, which need not be of ASCII; accents may stand by themselves."""
_BEFORE = re.compile(r".*[^\w\u0300-\u036f.%+-]", re.DOTALL)
_HOST = re.compile(rf"(?:{LETTER}{{1,4096}}+(?:\.(?={LETTER}))?+){{1,256}}+")
_LONGEST = 64
"""Characters before the `@` that count."""


def addresses(text: str) -> Iterator[tuple[int, int]]:
    """Where each begins and ends."""
    end, at = 0, text.find("@")
    while at >= 0:
        before = text[max(end, at - _LONGEST) : at]
        other = _BEFORE.match(before)
        start = at - len(before) + (other.end() if other else 0)
        end = passed(_HOST, text, at + 1)
        if start < at and text.find(".", at + 1, end) >= 0:
            yield start, end
        else:
            end = at + 1
        at = text.find("@", end)
