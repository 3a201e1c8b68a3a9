"""W3C trace context. https://www.w3.org/TR/trace-context/#traceparent-header"""

from __future__ import annotations

import re
from dataclasses import dataclass

# later versions may add to it; 00 ends with its flags
_TRACEPARENT = re.compile(
    r"^(?!ff|00.{54})[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$"
)


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller's span that a request belongs to."""

    trace_id: str
    span_id: str
    sampled: bool
    """Whether the caller records its trace; where not, no span is recorded here either."""


def caller(traceparent: str | None) -> Caller | None:
    """Return the span that `traceparent` names; None where it is missing or malformed."""
    match = _TRACEPARENT.match(traceparent.strip()) if traceparent else None
    if match is None or set(match.group(1)) == {"0"} or set(match.group(2)) == {"0"}:
        return None
    return Caller(match.group(1), match.group(2), bool(int(match.group(3), 16) & 1))
