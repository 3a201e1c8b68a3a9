"""Searches foreign text in linear time and in short steps, and finds e-mail addresses in it.

`re` holds the GIL for a whole call, on any thread: a search through megabytes blocks the event loop. So a long text is
searched window by window, and a long value is matched in steps.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

WINDOW = 1 << 16
"""Characters that one call searches: about a millisecond."""


def matches(pattern: re.Pattern[str], text: str, reach: int) -> Iterator[re.Match[str]]:
    """Yield the matches like `finditer`. A match with its look-ahead has `reach` characters at most."""
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
    """Yield the places of `needle`, without overlaps."""
    at = text.find(needle)
    while at >= 0:
        yield at
        at = text.find(needle, at + len(needle))


def passed(step: re.Pattern[str], text: str, at: int) -> int:
    """Return the end of a run of `step` from `at` on; each match of `step` is a bounded piece of it."""
    while (match := step.match(text, at)) and match.end() > at:
        at = match.end()
    return at


def among(needles: Collection[str], text: str) -> frozenset[str]:
    """Return those of `needles` (lower case, 64 characters at most) that occur in the text in any case."""
    missing = set(needles)
    for at in range(0, len(text), WINDOW):
        lowered = text[at : at + WINDOW + 64].lower()
        missing -= {needle for needle in missing if needle in lowered}
        if not missing:
            break
    return frozenset(needles) - missing


LETTER = r"[\w\u0300-\u036f-]"
"""A character of a host name, also beyond ASCII, with combining accents."""
_BEFORE = re.compile(r".*[^\w\u0300-\u036f.%+-]", re.DOTALL)
_HOST = re.compile(rf"(?:{LETTER}{{1,4096}}+(?:\.(?={LETTER}))?+){{1,256}}+")
_LONGEST = 64
"""Characters before the `@` that are searched."""


def addresses(text: str) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each e-mail address."""
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
