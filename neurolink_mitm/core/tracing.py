"""W3C trace context. https://www.w3.org/TR/trace-context/#traceparent-header"""

from __future__ import annotations

import re

# later versions may add to it; 00 ends with its flags
_TRACEPARENT = re.compile(
    r"^(?!ff|00.{54})[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?$"
)


def trace_id(traceparent: str | None) -> str | None:
    """The trace a caller's `traceparent` names, or None where there is none or it breaks the form."""
    match = _TRACEPARENT.match(traceparent.strip()) if traceparent else None
    if match is None or set(match.group(1)) == {"0"} or set(match.group(2)) == {"0"}:
        return None
    return match.group(1)
