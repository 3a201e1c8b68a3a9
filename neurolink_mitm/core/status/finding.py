"""One finding of the doctor: how things stand, in a line, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`id` is stable: docs/troubleshooting.md explains each by it."""

    id: str
    level: Level
    text: str
    fix: str = ""


def ok(id_: str, text: str) -> Finding:
    """As it should be."""
    return Finding(id_, "ok", text)


def warn(id_: str, text: str, fix: str) -> Finding:
    """It works, but not for all, or not for long."""
    return Finding(id_, "warn", text, fix)


def fail(id_: str, text: str, fix: str) -> Finding:
    """It can't work."""
    return Finding(id_, "fail", text, fix)
