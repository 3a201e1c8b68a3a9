"""A diagnostic: one line on one thing that was checked, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


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
