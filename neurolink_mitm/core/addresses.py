"""Finds e-mail addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from neurolink_mitm.core.steps import passed

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
