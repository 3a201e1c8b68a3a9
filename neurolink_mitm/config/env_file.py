"""The file of keys and variables, `.env`: read beside the process's own environment, never exported into it.

Sets and removes one variable of `.env`, as python-dotenv reads it; every other line stays as it is.

Written by our own atomic write under a lock, and only if nobody else wrote meanwhile: python-dotenv's has none of it.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from neurolink_mitm.adapters import files as careful_edit
from neurolink_mitm.adapters.files import locked
from neurolink_mitm.adapters.home import OPEN_TO_OTHERS, Home

if TYPE_CHECKING:
    from dotenv.parser import Binding


LARGEST = 1_000_000
"""Bytes of a file."""


class EnvFileError(ValueError):
    """The file can't be used; one line that names it and nothing that it holds."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where `${VAR}` and keys come from: the process's environment, and what the file adds to it."""

    values: Mapping[str, str] = field(repr=False)
    path: Path
    warnings: tuple[str, ...] = ()


def read_environment(
    environ: Mapping[str, str], home: Home, asked: Path | None = None
) -> Environment:
    """The file is the one `asked` for, else that of `NEUROLINK_ENV_FILE`, else `.env` in the home directory.

    Only the last may be missing. Raises `EnvFileError`.
    """
    path, required = chosen(environ, home, asked)
    try:
        text, warning = _content(path)
    except FileNotFoundError as e:
        if required:
            raise EnvFileError(
                f"{path}: no such file: name one that holds lines of NAME=value"
            ) from e
        return Environment(dict(environ), path)
    except OSError as e:
        raise EnvFileError(f"{path}: can't be read: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise EnvFileError(f"{path}: is not a text file (UTF-8)") from e
    values = _parse(path, text)
    unresolved = tuple(
        f"{path}: {name} holds ${{…}}, which is taken as it stands there"
        for name, value in values.items()
        if "${" in value
    )
    return Environment(merge(environ, values), path, (*warning, *unresolved))


def chosen(environ: Mapping[str, str], home: Home, asked: Path | None) -> tuple[Path, bool]:
    """Which file it is, and whether it must be there."""
    named = environ.get("NEUROLINK_ENV_FILE")
    path = asked or (Path(named) if named else None)
    return (path.expanduser().absolute(), True) if path else (home.env, False)


def merge(environ: Mapping[str, str], values: Mapping[str, str]) -> Mapping[str, str]:
    """What the process was given wins, unless it is empty."""
    return {**environ, **{k: v for k, v in values.items() if not environ.get(k)}}


def _content(path: Path) -> tuple[str, tuple[str, ...]]:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise EnvFileError(f"{path}: is larger than {LARGEST} bytes")
    return data.decode("utf-8-sig"), tuple(_too_open(path, mode))


def _too_open(path: Path, mode: int) -> Iterator[str]:
    # a pipe, as of `--env-file <(…)`, has no mode that matters
    if stat.S_ISREG(mode) and mode & OPEN_TO_OTHERS:
        yield f"{path} is open to others (mode {stat.S_IMODE(mode):04o}): run chmod 600 {path}"


def _parse(path: Path, text: str) -> dict[str, str]:
    from dotenv.parser import parse_stream  # most homes have no such file

    values = {}
    for line in parse_stream(io.StringIO(text)):
        if line.error:
            raise EnvFileError(f"{path}: line {line.original.line} is not NAME=value")
        if line.key is not None and line.value is not None:
            values[line.key] = line.value
    return values


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
