"""Changes one value of a configuration file and leaves all else as it is: comments, order, quotes."""

from __future__ import annotations

import io
import json
import stat
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.util import load_yaml_guess_indent

from neurolink_mitm.adapters.atomic import write_atomic
from neurolink_mitm.adapters.pool_memory import locked

PRIMARY = ("primary-account", "primaryAccount")
NEW = "version: 1\n"


class NotEditable(Exception):
    """One line: why, and what to do."""


def write_primary(path: Path, label: str | None) -> None:
    """Set `routing.primary-account`, or take it away. The file is one that loads; it may be missing.

    Raises `OSError`, `NotEditable`.
    """
    with locked(path):
        try:
            old, mode = path.read_bytes().decode("utf-8-sig"), stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            old, mode = NEW, 0o600
        change = _in_json if path.suffix.lower() == ".json" else _in_yaml
        write_atomic(path, change(old, label).encode(), mode)


def _in_json(text: str, label: str | None) -> str:
    document = json.loads(text) if text.strip() else {}
    _set(document, label)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _in_yaml(text: str, label: str | None) -> str:
    round_trip = YAML()
    round_trip.preserve_quotes = True
    round_trip.width = 1_000_000
    document, indent, offset = load_yaml_guess_indent(text, yaml=round_trip)
    # the step of a sequence counts from its parent to its values
    round_trip.indent(mapping=indent or 2, sequence=(offset or 0) + 2, offset=offset or 0)
    document = {} if document is None else document
    _set(document, label)
    written = io.StringIO()
    round_trip.dump(document, written)
    new = written.getvalue()
    _check(text, new, label)
    return new


def _check(old: str, new: str, label: str | None) -> None:
    """Nothing but the one value may have changed its meaning."""
    expected = yaml.safe_load(old) or {}
    _set(expected, label)
    if yaml.safe_load(new) != expected:
        raise NotEditable(
            "this file is written in a way that can't be changed safely;"
            f" set routing.primary-account to {label or 'nothing'} by hand"
        )


def _set(document: MutableMapping[str, Any], label: str | None) -> None:
    routing = document.get("routing")
    if routing is None and label is None:
        return
    if routing is None:
        routing = document["routing"] = {}
    written = next((key for key in PRIMARY if key in routing), PRIMARY[0])
    if label is not None:
        routing[written] = label
    elif written in routing:
        del routing[written]
