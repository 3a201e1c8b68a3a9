"""The supported versions of Python and mitmproxy, whose inner API the failover stream uses."""

from __future__ import annotations

from collections.abc import Sequence

OLDEST_PYTHON = (3, 11)
OLDEST_MITMPROXY = (11, 0, 2)
NEWEST_MITMPROXY = (13,)
"""The first unsupported version."""
REQUIREMENT = "mitmproxy>=11.0.2,<13"
OLD_MITMPROXY = (11, 1)
"""Versions below are for Python 3.11, and get no more fixes."""
AGING = (
    "Python 3.11 runs {}, the last for it, with h11 0.14 and tornado 6.4, which get no more fixes; from Python 3.12 on"
    " it is mitmproxy 12, with newer ones"
)


def fits_python(found: Sequence[int]) -> bool:
    return tuple(found) >= OLDEST_PYTHON


def fits_mitmproxy(found: str) -> bool:
    return OLDEST_MITMPROXY <= _digits(found) < NEWEST_MITMPROXY


def aging(found: str) -> str | None:
    """Return what is missing in an old version of mitmproxy; None for a new one."""
    return AGING.format(f"mitmproxy {found}") if _digits(found) < OLD_MITMPROXY else None


def _digits(found: str) -> tuple[int, ...]:
    return tuple(int(part) for part in found.split(".")[:3] if part.isdigit())
