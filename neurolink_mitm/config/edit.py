"""Edits the configuration file: an edited copy put in its place, or one value of `routing` alone.

The one value is changed by ruamel.yaml; every other line stays as it is.
"""

from __future__ import annotations

import io
import json
import re
import stat
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from neurolink_mitm.adapters.audit import Audit
from neurolink_mitm.adapters.files import (
    compare_and_swap,
    locked,
    read,
    write_atomic,
)
from neurolink_mitm.config.file import load
from neurolink_mitm.config.show import changed_values
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.core.settings.values import Config

if TYPE_CHECKING:
    from ruamel.yaml import YAML

BLANK = b"""\
# NeuroLink's configuration: `neurolink docs configuration` has every key, `neurolink config show` what is in force.
version: 1
"""
"""What an editor begins with where there is no file."""
NEW = "version: 1\n"
_WIDEST = 1_000_000
"""Characters of a line: ruamel.yaml would fold longer ones."""


@dataclass(frozen=True, slots=True)
class RoutingValue:
    """A value of `routing`, under the first of `keys` or as it is written already; None takes it away."""

    keys: tuple[str, str]
    value: str | Sequence[str] | None

    def key(self, routing: Mapping[str, Any] | None) -> str:
        return next((key for key in self.keys if key in (routing or {})), self.keys[0])


def primary(label: str | None) -> RoutingValue:
    return RoutingValue(("primary-account", "primaryAccount"), label)


def order(labels: Sequence[str]) -> RoutingValue:
    return RoutingValue(("account-order", "accountOrder"), list(labels) or None)


class NotEditableError(Exception):
    """One line: why, and what to do."""


def copy_for_editing(path: Path) -> tuple[Path, bool]:
    """Return a copy beside `path`, its suffix kept for editors, and whether it is left from an earlier edit."""
    copy = path.with_name(f"{path.stem}.edit{path.suffix}")
    if copy.exists():
        return copy, True
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = read(path)
    write_atomic(copy, BLANK if before is None else before)
    return copy, False


def swap_in(
    path: Path, before: bytes | None, copy: Path, audit: Audit, environ: Mapping[str, str]
) -> None:
    """Replace `before`, the content of `path` (None: no file), by that of `copy`, which loads, and remove `copy`.

    Raises `ChangedError` where somebody has changed `path` meanwhile.
    """
    with locked(path):
        old, new = _settings(path, environ), _settings(copy, environ)
        compare_and_swap(path, before, copy.read_bytes())
    copy.unlink()
    audit.record("config edit", str(path), *changed_values(old, new))


def _settings(path: Path, environ: Mapping[str, str]) -> Config:
    """Return the settings in `path`; those of an empty file where it can't be used."""
    try:
        return load(path, environ, required=False).config
    except ConfigError:
        return Config()


def set_primary(path: Path, label: str | None, audit: Audit) -> str | None:
    """Write `routing.primary-account` into `path`, which loads or is missing; with None take it away.

    Return the value before. Raises `OSError`, `NotEditableError`.
    """
    before: str | None = _write(path, primary(label))
    if before != label:
        audit.record("set-primary" if label else "clear-primary", label, before, label)
    return before


def set_order(path: Path, labels: Sequence[str], audit: Audit) -> Sequence[str]:
    """Write `routing.account-order` likewise; without labels take it away. Return the value before."""
    before, after = _write(path, order(labels)) or [], list(labels)
    if before != after:
        audit.record("order", None, before, after)
    return before


def _write(path: Path, new: RoutingValue) -> Any:
    """Write the value, and return the one before."""
    with locked(path):
        try:
            old, mode = path.read_bytes().decode("utf-8-sig"), stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            old, mode = NEW, 0o600
        edit = _in_json if path.suffix.lower() == ".json" else in_yaml
        write_atomic(path, edit(old, new).encode(), mode)
    document = (json.loads if edit is _in_json else yaml.safe_load)(old or "{}") or {}
    routing = document.get("routing") or {}
    return routing.get(new.key(routing))


def _in_json(text: str, change: RoutingValue) -> str:
    document = json.loads(text) if text.strip() else {}
    _set(document, change)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def in_yaml(text: str, change: RoutingValue) -> str:
    """Return the text with the one value changed. Raises `NotEditableError`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    newline = "\r\n" if "\r\n" in text else "\n"
    lines = _lines(text)
    editor = YAML()
    editor.preserve_quotes, editor.width = True, _WIDEST
    try:
        document = editor.load("\n".join(lines))
    except YAMLError as e:
        raise _not_editable(change) from e
    before = _dumped(editor, document)
    document = _changed(editor, document, change)
    new = newline.join((*_merged(lines, before, _dumped(editor, document), change), ""))
    _check(text, new, change)
    return new


def _dumped(editor: YAML, document: Any) -> list[str]:
    if not document:
        return []
    out = io.StringIO()
    editor.dump(document, out)
    return _lines(out.getvalue())


def _changed(editor: YAML, document: Any, change: RoutingValue) -> Any:
    """Return the document with the value; a new line is indented as those beside it."""
    from ruamel.yaml.comments import CommentedMap

    routing = document.get("routing") if document else None
    written = change.key(routing)
    if routing:
        editor.map_indent = routing.lc.col - document.lc.col
    if change.value is None:
        if routing:
            routing.pop(written, None)
    elif routing:
        routing.insert(0, written, _node(change.value))
    else:
        section = CommentedMap({written: _node(change.value)})
        if document and "routing" in document:
            section.fa.set_flow_style()
        document = document or CommentedMap()
        document["routing"] = section
    return document


def _merged(
    lines: Sequence[str], before: Sequence[str], after: Sequence[str], change: RoutingValue
) -> Iterator[str]:
    """Yield the file's own `lines`, with what differs between `before` and `after`: ruamel.yaml lays out both anew.

    Comment lines are never taken away: ruamel.yaml loses those behind a key that goes.
    """
    matcher = SequenceMatcher(None, _bare(before), _bare(lines), autojunk=False)
    places = {-1: -1} if before else {-1: len(lines) - 1}
    places |= {len(before): len(lines)}
    for block in matcher.get_matching_blocks():
        places |= {block.a + n: block.b + n for n in range(block.size)}
    done = 0
    for kind, start, end, new_start, new_end in SequenceMatcher(
        None, before, after, False
    ).get_opcodes():
        if kind == "equal":
            continue
        first, last = places.get(start - 1), places.get(end)
        if first is None or last is None or last - first - 1 != end - start:
            raise _not_editable(change)
        yield from lines[done : first + 1]
        yield from after[new_start:new_end]
        yield from (
            line for line in lines[first + 1 : last] if not line.strip() or line.strip()[0] == "#"
        )
        done = last
    yield from lines[done:]


def _lines(text: str) -> list[str]:
    lines = text.replace("\r\n", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def _bare(lines: Sequence[str]) -> list[str]:
    """Return lines without their white space, and without the word for an empty value."""
    return [re.sub(r"(?<=:)(?:null|~)(?=#|$)", "", "".join(line.split())) for line in lines]


def _node(value: str | Sequence[str]) -> Any:
    from ruamel.yaml.comments import CommentedSeq

    if isinstance(value, str):
        return _scalar(value)
    labels = CommentedSeq(map(_scalar, value))
    labels.fa.set_flow_style()
    return labels


def _scalar(label: str) -> str:
    """Return the label plain where YAML reads that as the same text, else in quotes."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    plain = re.fullmatch(r"[A-Za-z0-9][\w.@+-]*", label) and yaml.safe_load(label) == label
    return label if plain else DoubleQuotedScalarString(label)


def _check(old: str, new: str, change: RoutingValue) -> None:
    """Raise `NotEditableError` where more than the one value has changed its meaning."""
    expected = yaml.safe_load(old) or {}
    _set(expected, change)
    try:
        same = (yaml.safe_load(new) or {}) == expected
    except yaml.YAMLError:
        same = False
    if not same:
        raise _not_editable(change)


def _not_editable(change: RoutingValue) -> NotEditableError:
    return NotEditableError(
        "is written in a way that can't be changed safely;"
        f" set routing.{change.keys[0]} to {json.dumps(change.value) if change.value else 'nothing'} by hand"
    )


def _set(document: MutableMapping[str, Any], change: RoutingValue) -> None:
    routing = document.get("routing")
    written = change.key(routing)
    if change.value is not None:
        document["routing"] = {**(routing or {}), written: change.value}
    elif routing:
        routing.pop(written, None)
