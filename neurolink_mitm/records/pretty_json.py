"""Formats JSON for reading, where that does not blow it up."""

from __future__ import annotations

import re

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE

LARGEST = 512 * 1024
"""Characters of JSON that one call formats: it keeps the GIL for some milliseconds."""
DEEPEST = 64
"""Levels of JSON that are formatted: each indents all that is below it."""
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', re.DOTALL)


def pretty(text: str) -> str | None:
    """Return JSON with indents; None for what is no JSON, too long or too deep."""
    if len(text) > LARGEST:
        return None
    try:
        msgspec.json.decode(text, type=msgspec.Raw)  # in what is no JSON, strings would have no end
        if _depth(text) > DEEPEST:
            return None
        return msgspec.json.format(text, indent=2)
    except UNREADABLE:
        return None


def _depth(text: str) -> int:
    depth = deepest = 0
    for match in _TOKEN.finditer(text):
        sign = match[0]
        if sign in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in "]}":
            depth -= 1
    return deepest
