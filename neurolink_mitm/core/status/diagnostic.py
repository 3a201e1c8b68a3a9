"""A diagnostic: one line on one thing that was checked, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]
SKEW = 60.0
"""Seconds of clock skew that do no harm."""
DISK_LOW, DISK_FULL = 200_000_000, 10_000_000
"""Free bytes below which the disk is called low, and full."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """`id` is stable: docs/troubleshooting.md explains each by it."""

    id: str
    level: Level
    text: str
    fix: str = ""


def ok(id_: str, text: str) -> Diagnostic:
    """Return a diagnostic of what is as it should be."""
    return Diagnostic(id_, "ok", text)


def warn(id_: str, text: str, fix: str) -> Diagnostic:
    """Return a diagnostic of what works, but not for all, or not for long."""
    return Diagnostic(id_, "warn", text, fix)


def fail(id_: str, text: str, fix: str) -> Diagnostic:
    """Return a diagnostic of what can't work."""
    return Diagnostic(id_, "fail", text, fix)
