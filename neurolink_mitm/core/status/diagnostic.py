"""One finding of the doctor: how things stand, in a line, and what to do about it."""

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
    """As it should be."""
    return Diagnostic(id_, "ok", text)


def warn(id_: str, text: str, fix: str) -> Diagnostic:
    """It works, but not for all, or not for long."""
    return Diagnostic(id_, "warn", text, fix)


def fail(id_: str, text: str, fix: str) -> Diagnostic:
    """It can't work."""
    return Diagnostic(id_, "fail", text, fix)
