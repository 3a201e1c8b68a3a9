"""Mends texts whose letters come in halves: servers in JavaScript cut between the two surrogates of an emoji.

JSON can hold such a half (`"\\ud83d"`), UTF-8 can't: sent on, it would be an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_HALF = re.compile("[\ud800-\udfff]")
_FIRST = re.compile("[\ud800-\udbff]\\Z")


@dataclass(slots=True)
class Halves:
    """Takes pieces of a text; gives them with whole letters. A half at the end of the text is left out."""

    _held: str = ""

    def feed(self, text: str) -> str:
        """Return the text up to a first half at its end, which waits for the second."""
        text, self._held = self._held + text, ""
        if _FIRST.search(text):
            text, self._held = text[:-1], text[-1]
        return mended(text)


def mended(text: str) -> str:
    """Return the text with halves joined, and a question mark of Unicode's for each that stays alone."""
    if not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
