"""A diff of a request before and after shaping."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator

from neurolink_mitm.core.request.headers import Fields
from neurolink_mitm.core.shaping.draft import OutgoingRequest

CONTEXT = 2
"""Lines of context around each change."""


def differences(before: OutgoingRequest, after: OutgoingRequest) -> list[str]:
    """Return the lines of the diff of header fields and body; none where nothing changes."""
    old, new = _lines(before.fields, before.body), _lines(after.fields, after.body)
    lines = difflib.unified_diff(old, new, "as it came", "as it is sent", lineterm="", n=CONTEXT)
    return list(lines)


def _lines(fields: Fields, body: bytes) -> list[str]:
    return [*map(_field, fields), *_laid_out(body)]


def _field(field: tuple[bytes, bytes]) -> str:
    name, value = field
    return f"{name.decode('utf-8', 'replace')}: {value.decode('utf-8', 'replace')}"


def _laid_out(body: bytes) -> Iterator[str]:
    """Yield the body with one value a line, since bodies have one line only."""
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace")
    yield from text.splitlines()
