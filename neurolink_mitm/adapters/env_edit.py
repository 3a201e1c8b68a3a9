"""Sets and removes one variable of `.env`, as python-dotenv reads it; every other line stays as it is.

Written by our own atomic write under a lock, and only if nobody else wrote meanwhile: python-dotenv's has none of it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from neurolink_mitm.adapters import files as careful_edit
from neurolink_mitm.adapters.files import locked

if TYPE_CHECKING:
    from dotenv.parser import Binding


def set_variable(path: Path, name: str, value: str) -> None:
    """Of several lines that set it the last counts, and is replaced. Raises `OSError`, `ValueError`."""
    with locked(path):
        careful_edit.edit(path, lambda text: with_variable(text or "", name, value))


def remove_variable(path: Path, name: str, value: str) -> None:
    """If it has this value: another is somebody else's. Raises `OSError`, `ValueError`."""
    with locked(path):
        careful_edit.edit(path, lambda text: None if text is None else without(text, name, value))


def with_variable(text: str, name: str, value: str) -> str:
    mark, text = _mark(text)
    bindings = list(_bindings(text))
    line = f"{name}={value}\n"
    last = next((b for b in reversed(bindings) if b.key == name), None)
    if last is None:
        return mark + text + ("" if not text or text.endswith("\n") else "\n") + line
    if last.value == value:
        return mark + text
    return mark + "".join(_lead(b) + line if b is last else b.original.string for b in bindings)


def without(text: str, name: str, value: str) -> str | None:
    """None where nothing is left."""
    mark, text = _mark(text)
    rest = "".join(
        _lead(b) if (b.key, b.value) == (name, value) else b.original.string
        for b in _bindings(text)
    )
    return mark + rest if rest else None


def _mark(text: str) -> tuple[str, str]:
    """The byte order mark that the text may begin with, and the rest: to python-dotenv it were part of a name."""
    return text[: text.startswith("\ufeff")], text.removeprefix("\ufeff")


def _bindings(text: str) -> Iterator[Binding]:
    from dotenv.parser import parse_stream

    return iter(list(parse_stream(io.StringIO(text, newline=""))))


def _lead(binding: Binding) -> str:
    """Empty lines belong to the line after them, there."""
    whole = binding.original.string
    return whole[: len(whole) - len(whole.lstrip())]
