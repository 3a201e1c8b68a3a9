"""The file of keys and variables, `.env`: read beside the process's own environment, never exported into it."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from neurolink_mitm.adapters.home import OPEN_TO_OTHERS, Home

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
