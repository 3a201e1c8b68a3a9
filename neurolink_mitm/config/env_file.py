"""The env file, `.env`: read beside the process's own environment, never exported into it; one variable set or removed.

It is parsed by python-dotenv, but written by our own locked, atomic write: python-dotenv's has neither lock nor fsync.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from neurolink_mitm.adapters import files
from neurolink_mitm.adapters.files import locked
from neurolink_mitm.adapters.home import OPEN_TO_OTHERS, Home

if TYPE_CHECKING:
    from dotenv.parser import Binding


LARGEST = 1_000_000
"""Bytes of an env file at most."""


class EnvFileError(ValueError):
    """The file can't be used; one line that names it and nothing that it holds."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The variables of the process, and those that the env file adds: `${VAR}` and keys come from here."""

    values: Mapping[str, str] = field(repr=False)
    path: Path
    warnings: tuple[str, ...] = ()


def read_environment(
    environ: Mapping[str, str], home: Home, option: Path | None = None
) -> Environment:
    """Read the env file: `option`, else that of `NEUROLINK_ENV_FILE`, else `.env` in the home directory.

    Only the last may be missing. Raises `EnvFileError`.
    """
    path, required = chosen(environ, home, option)
    try:
        text, warning = _content(path)
    except FileNotFoundError as e:
        if required:
            text = f"{path}: no such file: name one that holds lines of NAME=value"
            raise EnvFileError(text) from e
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


def chosen(environ: Mapping[str, str], home: Home, option: Path | None) -> tuple[Path, bool]:
    """Return the path of the env file, and whether it must exist."""
    named = environ.get("NEUROLINK_ENV_FILE")
    path = option or (Path(named) if named else None)
    return (path.expanduser().absolute(), True) if path else (home.env, False)


def variable_names(path: Path) -> tuple[str, ...]:
    """Return the names of the variables in an env file; none where it can't be read."""
    try:
        return tuple(sorted(_parse(path, _content(path)[0]))) if path.is_file() else ()
    except (OSError, ValueError):
        return ()


def merge(environ: Mapping[str, str], values: Mapping[str, str]) -> Mapping[str, str]:
    """Return both; variables of the process win, unless they are empty."""
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
    """Write the variable, in place of the last line that sets it. Raises `OSError`, `ValueError`."""
    with locked(path):
        files.edit(path, lambda text: with_variable(text or "", name, value))


def remove_variable(path: Path, name: str, value: str) -> None:
    """Remove the lines that set the variable to `value`: another is the user's own. Raises `OSError`, `ValueError`."""
    with locked(path):
        files.edit(path, lambda text: None if text is None else without(text, name, value))


def with_variable(text: str, name: str, value: str) -> str:
    """Return the text of an env file with the variable set."""
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
    """Return the text without the variable, if it has this value; None where nothing is left."""
    mark, text = _mark(text)
    rest = "".join(
        _lead(b) if (b.key, b.value) == (name, value) else b.original.string
        for b in _bindings(text)
    )
    return mark + rest if rest else None


def _mark(text: str) -> tuple[str, str]:
    """Split off a byte order mark: python-dotenv takes it for a part of the first name."""
    return text[: text.startswith("\ufeff")], text.removeprefix("\ufeff")


def _bindings(text: str) -> Iterator[Binding]:
    from dotenv.parser import parse_stream

    return parse_stream(io.StringIO(text, newline=""))


def _lead(binding: Binding) -> str:
    """Return the empty lines before a binding, which python-dotenv counts as part of it."""
    whole = binding.original.string
    return whole[: len(whole) - len(whole.lstrip())]
