"""The keys of the configuration with their meanings, for docs/configuration.md, and its JSON Schema, for editors.

The schema allows what a file may hold beyond the types: both spellings of a key, a key without a value, and `${VAR}` in
place of a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin

from neurolink_mitm.core.settings.errors import spellings
from neurolink_mitm.core.settings.section import Options
from neurolink_mitm.core.settings.types import ValueType, description, hints, plain
from neurolink_mitm.core.settings.values import ConfigFile

Schema = dict[str, Any]

REFERENCE: Schema = {"type": "string", "pattern": r"\$\{"}
NULL: Schema = {"type": "null"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One key: its path, default and meaning; `nested` if there are keys below it."""

    path: str
    default: object
    nested: bool
    meaning: str


def entries(section: type = ConfigFile, path: str = "") -> Iterator[Entry]:
    """Yield every key of a section and of those below, each followed by what is in it."""
    for field in fields(section):
        hint = hints(section)[field.name]
        here = f"{path}.{spellings(field.name)[0]}".removeprefix(".")
        below, step = _section_in(hint)
        yield Entry(here, _default(field), below is not None, description(hint))
        if below is not None:
            yield from entries(below, here + step)


def _section_in(hint: Any) -> tuple[type | None, str]:
    """Return the section that a value is, is a list of, or maps names to; and the step that leads to it."""
    hint, _ = plain(hint)
    if isinstance(hint, type) and is_dataclass(hint):
        return hint, ""
    match get_origin(hint), get_args(hint):
        case origin, (item, *_) if origin is tuple:
            return _section_in(item)[0], "[]"
        case origin, (_, item) if origin is Mapping:
            return _section_in(item)[0], ".*"
    return None, ""


def _default(field: Field[Any]) -> object:
    """Return the default of a key; `MISSING` if the key is required."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def schema() -> Schema:
    """Return the JSON Schema, draft 2020-12."""
    sections = sorted(_sections(ConfigFile), key=lambda section: section.__name__)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "NeuroLink's proxy-config.yaml",
        **_section(ConfigFile),
        "$defs": {section.__name__: _section(section) for section in sections},
    }


def _sections(section: type) -> Iterator[type]:
    for hint in hints(section).values():
        if below := _section_in(hint)[0]:
            yield below
            yield from _sections(below)


def _section(section: type) -> Schema:
    properties, required = {}, []
    for field in fields(section):
        hint = hints(section)[field.name]
        choices = _choices(hint)
        default: Schema = {}
        if (value := _default(field)) is MISSING:
            required.append(spellings(field.name)[0])
        else:
            choices = [*choices, NULL]
            default = {"default": value} if field.default_factory is MISSING else {}
        made = {**_any_of(choices), **default, "description": description(hint)}
        properties.update(dict.fromkeys(spellings(field.name), made))
    needed: Schema = {"required": required} if required else {}
    return {"type": "object", "additionalProperties": False, **needed, "properties": properties}


def _any_of(choices: list[Schema]) -> Schema:
    return choices[0] if len(choices) == 1 else {"anyOf": choices}


def _choices(hint: Any) -> list[Schema]:
    """Return the schemas of which a value of this type fits one."""
    hint, notes = plain(hint)
    if kind := next((note for note in notes if isinstance(note, ValueType)), None):
        return [dict(kind.schema)] + [REFERENCE] * (kind.schema["type"] != "string")
    if isinstance(hint, type) and is_dataclass(hint):
        reference = {"$ref": f"#/$defs/{hint.__name__}"}
        return [reference] + [{"type": "boolean"}, REFERENCE] * issubclass(hint, Options)
    match get_origin(hint), get_args(hint):
        case origin, (item, *_) if origin is tuple:
            return [{"items": _any_of(_choices(item)), "type": "array"}]
        case origin, (_, item) if origin is Mapping:
            values = True if item is object else _any_of(_choices(item))
            return [{"additionalProperties": values, "type": "object"}]
        case origin, (only,) if origin is Literal:
            return [{"const": only, "type": "integer"}, REFERENCE]
        case _, named:
            off = {"enum": [*named, False]}  # to YAML 1.1, `off` is false
            return [off if "off" in named else {"enum": [*named], "type": "string"}, REFERENCE]
