"""Which Python and which mitmproxy this is made for. The resend inside the flow uses mitmproxy's inner API."""

from __future__ import annotations

from collections.abc import Sequence

OLDEST_PYTHON = (3, 11)
OLDEST_MITMPROXY = (11, 0, 2)
NEWEST_MITMPROXY = (13,)
"""The first that is too new."""
REQUIREMENT = "mitmproxy>=11.0.2,<13"


def fits_python(found: Sequence[int]) -> bool:
    return tuple(found) >= OLDEST_PYTHON


def fits_mitmproxy(found: str) -> bool:
    digits = tuple(int(part) for part in found.split(".")[:3] if part.isdigit())
    return OLDEST_MITMPROXY <= digits < NEWEST_MITMPROXY
