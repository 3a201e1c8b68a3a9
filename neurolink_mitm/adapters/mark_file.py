"""`cluster-marks.json`: the primary account and the order of use that replicas have agreed on.

The configuration file stays each replica's own. A value there counts from when it is changed; until then the mark does
that replicas agreed on last, also in a home that has left the cluster. Beside the mark stands what the file said at
that time (`configured`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from neurolink_mitm.adapters.files import locked, read, write_atomic
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.settings.values import Config, Routing

Marks = Mapping[str, Any]
"""`primary`: a label or None; `order`: a list of labels."""
NOTHING: Marks = {"primary": None, "order": []}


@dataclass(frozen=True, slots=True)
class _Mark:
    value: Any = None
    configured: Any = None


class MarkFileError(ValueError):
    """The file can't be used; the text is one line."""


def configured_marks(routing: Routing) -> Marks:
    return {"primary": routing.primary_account, "order": list(routing.account_order)}


def checked_mark(name: str, value: object) -> Any:
    """Return the value of a mark. Raises `ValueError` for one that it can't have."""
    kinds = {"primary": str | None, "order": list[str]}
    if name not in kinds:
        raise ValueError("no such mark")
    try:
        return msgspec.convert(value, type=kinds[name])
    except msgspec.ValidationError as e:
        raise ValueError(str(e)) from e


def read_marks(path: Path, configured: Marks | None) -> Marks:
    """Return the marks in force; names that neither Redis nor the configuration has ever set are left out.

    Without `configured` the file alone is read. Raises `MarkFileError`.
    """
    return {name: mark.value for name, mark in _in_force(_read(path), configured).items()}


def note_marks(path: Path, configured: Marks | None) -> Marks:
    """Return the marks in force, and write down those that the configuration has set anew."""
    with locked(path):
        before = _read(path)
        after = _in_force(before, configured)
        _write(path, before, after)
    return {name: mark.value for name, mark in after.items()}


def replace_marks(path: Path, changes: Marks, configured: Marks | None) -> None:
    """Take over what replicas have agreed on. Raises `MarkFileError`, `OSError`."""
    with locked(path):
        before = _read(path)
        after = dict(before)
        for name, value in changes.items():
            own = (configured or {}).get(
                name, before.get(name, _Mark(None, NOTHING[name])).configured
            )
            after[name] = _Mark(value, own)
        _write(path, before, after)


def set_again(path: Path, name: str, value: object) -> None:
    """Have a value count that the configuration file had all the time, where replicas had agreed on another."""
    if path.exists():
        with locked(path):
            before = _read(path)
            if name in before:
                _write(path, before, {**before, name: _Mark(value, value)})


def with_marks(config: Config, path: Path) -> Config:
    """Return the configuration with the marks in force, also where the cluster was left. Raises `MarkFileError`."""
    if config.cluster is None and not path.exists():
        return config
    marks = {**NOTHING, **read_marks(path, configured_marks(config.routing))}
    routing = replace(
        config.routing, primary_account=marks["primary"], account_order=tuple(marks["order"])
    )
    return config if routing == config.routing else replace(config, routing=routing)


def _in_force(marks: Mapping[str, _Mark], configured: Marks | None) -> dict[str, _Mark]:
    in_force = dict(marks)
    for name, own in (configured or {}).items():
        mark = marks.get(name)
        if own != (NOTHING[name] if mark is None else mark.configured):
            in_force[name] = _Mark(own, own)
    return in_force


def _read(path: Path) -> dict[str, _Mark]:
    try:
        data = read(path)
        marks = {} if data is None else msgspec.json.decode(data, type=dict[str, _Mark])
        return {
            name: _Mark(checked_mark(name, mark.value), mark.configured)
            for name, mark in marks.items()
            if name in NOTHING
        }
    except OSError as e:
        raise MarkFileError(f"{path}: can't be read: {e.strerror}") from e
    except (ValueError, *UNREADABLE) as e:
        raise MarkFileError(f"{path}: is broken: delete it") from e


def _write(path: Path, before: Mapping[str, _Mark], after: Mapping[str, _Mark]) -> None:
    if after != before:
        write_atomic(path, msgspec.json.format(msgspec.json.encode(after)) + b"\n")
