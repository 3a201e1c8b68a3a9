"""Reads a form of the configuration that was sent: what differs from its sections is a change."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from neurolink_mitm.config.editable import (
    MOST_ENTRIES,
    Change,
    Scalar,
    Value,
)
from neurolink_mitm.dashboard.views.config_form import SPARE_ROWS, Field, Section


@dataclass(frozen=True, slots=True)
class Filled:
    """A form that was sent: its sections with what was typed, and what that changes."""

    sections: list[Section]
    changes: list[Change] = field(default_factory=list)
    fields: Mapping[str, str] = field(default_factory=dict)
    """The form's fields of the changes alone."""


def filled(made: Iterable[Section], form: Mapping[str, str]) -> Filled:
    """Return what a form changes. Fields that it does not have stay."""
    changes: list[Change] = []
    fields: dict[str, str] = {}
    new: list[Section] = []
    for section in made:
        typed_fields = []
        for each in section.fields:
            sent = {name: form[name] for name in _input_names(each, form)}
            typed = _typed(each, sent) if sent else each
            if (typed.input, typed.rows) != (each.input, each.rows):
                changes.append(Change(tuple(map(str, each.loc)), _value(typed)))
                fields |= sent
            typed_fields.append(typed)
        new.append(replace(section, fields=tuple(typed_fields)))
    return Filled(new, changes, fields)


def _input_names(shown: Field, form: Mapping[str, str]) -> Iterator[str]:
    if not shown.kind:
        return
    if shown.kind != "table":
        yield from (shown.name,) if shown.name in form else ()
        return
    for index in range(MOST_ENTRIES + SPARE_ROWS):
        names = [f"{shown.name}.{index}.{column}" for column in shown.columns]
        if not any(name in form for name in names):
            return
        yield from (name for name in names if name in form)


def _typed(shown: Field, sent: Mapping[str, str]) -> Field:
    if shown.kind == "table":
        count = len({name.split(".")[-2] for name in sent})
        rows = [
            tuple(sent.get(f"{shown.name}.{n}.{column}", "").strip() for column in shown.columns)
            for n in range(count)
        ]
        return replace(shown, rows=tuple(row for row in rows if any(row)))
    text = sent[shown.name]
    if shown.kind == "lines":
        text = "\n".join(filter(None, map(str.strip, text.splitlines())))
    return replace(shown, input=text.strip())


def _value(typed: Field) -> Value | None:
    """Return what was typed as it is written into the file; what is no number is for the check to refuse."""
    match typed.kind:
        case "table":
            return [_mapping(typed, row) for row in typed.rows]
        case "lines":
            return typed.input.splitlines()
        case "flag":
            return typed.input == "1"
        case "number":
            return _number(typed.input) if typed.input else None
    return typed.input or None


def _mapping(typed: Field, row: Sequence[str]) -> Mapping[str, Scalar]:
    """Return a row as a mapping, without keys that are left empty and have a default."""
    pairs = dict(zip(typed.columns, row, strict=True))
    optional = pairs.get("provider") == "" and typed.columns[-1] == "provider"
    return {key: text for key, text in pairs.items() if not (optional and key == "provider")}


def _number(text: str) -> Scalar:
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    try:
        number = float(text) if re.fullmatch(r"[0-9.eE+-]{1,40}", text) else math.inf
    except ValueError:
        return text
    return number if math.isfinite(number) else text
