"""Rate-limit headers of a response: which ones there are, and how their values are read.

Subscriptions: `anthropic-ratelimit-unified-*`. API keys: the classic `anthropic-ratelimit-{requests,tokens,…}-*`,
https://platform.claude.com/docs/en/api/rate-limits#response-headers
"""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from neurolink_mitm.core.request.headers import Fields

PREFIX = "anthropic-ratelimit-"
UNIFIED = f"{PREFIX}unified-"
_PREFIX = PREFIX.encode()
_BEGINNING = slice(len(_PREFIX))
MAX_VALUE = 256
"""Bytes of a header's value that are read."""
MAX_NUMBER = 1e11
"""Larger numbers are no limits and no times in seconds; as times they are milliseconds."""


def limit_headers(fields: Fields) -> dict[str, str]:
    """Return the rate-limit headers, by name in lower case."""
    return {
        key.decode("latin-1").lower(): value[:MAX_VALUE].decode("latin-1")
        for key, value in fields
        if key[_BEGINNING].lower() == _PREFIX
    }


def number(text: str | None) -> float | None:
    """Read a number from 0 to `MAX_NUMBER`; None for any other text."""
    value = _digits(text)
    return value if value is not None and value < MAX_NUMBER else None


@lru_cache(256)  # windows are reset at the same time for hours
def moment(text: str | None) -> float | None:
    """Read a time as seconds since the epoch; None for any other text.

    Windows have Unix seconds, classic limits have RFC 3339; milliseconds and HTTP dates are read too.
    """
    value = _digits(text)
    if value is None:
        value = _date(text or "")
    elif value >= MAX_NUMBER:
        value /= 1000
    return value if value is not None and 0 < value < MAX_NUMBER else None


def _digits(text: str | None) -> float | None:
    if not text or "_" in text:  # Python's 1_000 is no number of a header
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return abs(value) if 0 <= value < math.inf else None  # upstream also sends -0.0


def _date(text: str) -> float | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        with suppress(ValueError, OverflowError):
            return _seconds(read(text.strip()))
    return None


def _seconds(date: datetime) -> float:
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
