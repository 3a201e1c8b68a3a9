"""Changes `routing.primary-account` in a configuration file, and no other byte of it.

The value is put where YAML's own parser says it stands: writing the whole document anew would cost indentation,
and some comments.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import yaml

from neurolink_mitm.adapters.atomic import write_atomic
from neurolink_mitm.adapters.shared_file import locked

KEYS = ("primary-account", "primaryAccount")
NEW = "version: 1\n"

Pair = tuple[yaml.Node, yaml.Node]


class NotEditable(Exception):
    """One line: why, and what to do."""


def write_primary(path: Path, label: str | None) -> None:
    """Set it, or with None take it away. The file is one that loads; it may be missing.

    Raises `OSError`, `NotEditable`.
    """
    with locked(path):
        try:
            old, mode = path.read_bytes().decode("utf-8-sig"), stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            old, mode = NEW, 0o600
        change = _in_json if path.suffix.lower() == ".json" else in_yaml
        write_atomic(path, change(old, label).encode(), mode)


def _in_json(text: str, label: str | None) -> str:
    document = json.loads(text) if text.strip() else {}
    _set(document, label)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def in_yaml(text: str, label: str | None) -> str:
    """The text with the one value changed. Raises `NotEditable`."""
    newline = "\r\n" if "\r\n" in text else "\n"
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs: list[Pair] = root.value if isinstance(root, yaml.MappingNode) else []
    routing = _find(pairs, ("routing",))
    if label is None:
        new = _without(text, routing) if routing else text
    elif routing is None:
        new = _appended(text, root, label, newline)
    else:
        new = _with(text, routing, _scalar(label), newline)
    _check(text, new, label)
    return new


def _with(text: str, routing: Pair, value: str, newline: str) -> str:
    key, section = routing
    if not isinstance(section, yaml.MappingNode):  # null
        return _replaced(text, key, section, f"{{{KEYS[0]}: {value}}}")
    if found := _find(section.value, KEYS):
        return _replaced(text, *found, value)
    entry = f"{KEYS[0]}: {value}"
    if not section.value:  # {}
        return _insert(text, section.end_mark.index - 1, entry)
    first = section.value[0][0].start_mark
    between = ", " if section.flow_style else newline + " " * first.column
    return _insert(text, first.index, entry + between)


def _without(text: str, routing: Pair) -> str:
    section = routing[1]
    found = _find(section.value, KEYS) if isinstance(section, yaml.MappingNode) else None
    if found is None or not isinstance(section, yaml.MappingNode):
        return text
    pairs: list[Pair] = section.value
    start, end = found[0].start_mark.index, found[1].end_mark.index
    if len(pairs) == 1:
        # with nothing at all in its place, the section would be null
        return text[:start] + ("" if section.flow_style else "{}") + text[end:]
    if not section.flow_style:
        start, after = text.rfind("\n", 0, start) + 1, text.find("\n", end)
        return text[:start] + (text[after + 1 :] if after >= 0 else "")
    place = pairs.index(found)
    if place + 1 < len(pairs):
        return text[:start] + text[pairs[place + 1][0].start_mark.index :]
    return text[: pairs[place - 1][1].end_mark.index] + text[end:]


def _appended(text: str, root: yaml.Node | None, label: str, newline: str) -> str:
    if isinstance(root, yaml.MappingNode) and root.flow_style:
        comma = ", " if root.value else ""
        entry = f"{comma}routing: {{{KEYS[0]}: {_scalar(label)}}}"
        return _insert(text, root.end_mark.index - 1, entry)
    ended = text if not text or text.endswith("\n") else text + newline
    return f"{ended}routing:{newline}  {KEYS[0]}: {_scalar(label)}{newline}"


def _replaced(text: str, key: yaml.Node, value: yaml.Node, new: str) -> str:
    start, end = value.start_mark.index, value.end_mark.index
    if start == end:  # there is nothing behind the colon
        return _insert(text, text.index(":", key.end_mark.index) + 1, f" {new}")
    if start < key.end_mark.index:
        raise NotEditable("the value is an alias (*name); change it by hand")
    return text[:start] + new + text[end:]


def _insert(text: str, index: int, new: str) -> str:
    return text[:index] + new + text[index:]


def _find(pairs: list[Pair], names: tuple[str, ...]) -> Pair | None:
    return next((pair for pair in pairs if pair[0].value in names), None)


def _scalar(label: str) -> str:
    """Plain where that is read as the same text, else in quotes."""
    plain = re.fullmatch(r"[A-Za-z0-9][\w.@+-]*", label) and yaml.safe_load(label) == label
    return label if plain else json.dumps(label, ensure_ascii=False)


def _check(old: str, new: str, label: str | None) -> None:
    """Nothing but the one value may have changed its meaning."""
    expected = yaml.safe_load(old) or {}
    _set(expected, label)
    try:
        same = (yaml.safe_load(new) or {}) == expected
    except yaml.YAMLError:
        same = False
    if not same:
        raise NotEditable(
            "is written in a way that can't be changed safely;"
            f" set routing.primary-account to {label or 'nothing'} by hand"
        )


def _set(document: MutableMapping[str, Any], label: str | None) -> None:
    routing = document.get("routing")
    written = next((key for key in KEYS if key in (routing or {})), KEYS[0])
    if label is not None:
        document["routing"] = {**(routing or {}), written: label}
    elif routing:
        routing.pop(written, None)
