"""The JSON Schema of the configuration, for editors: made from the same types that check it.

It takes what a file may hold, which is more than the types say: both spellings of a key, a key without a value, and
`${VAR}` in place of a number.
"""

from __future__ import annotations

import re
from typing import Any

from neurolink_mitm.core.config import ConfigFile, file_type
from neurolink_mitm.core.config_docs import entries
from neurolink_mitm.core.config_faults import spellings
from neurolink_mitm.core.config_values import Plugins

Schema = dict[str, Any]

REFERENCE: Schema = {"type": "string", "pattern": r"\$\{"}
NULL: Schema = {"type": "null"}
NOTES = ("default", "description")
"""They are about a value whatever its type."""
CUSTOM = "custom"
"""A list among the plugins."""
KEPT = ("type", "additionalProperties", "required")


def schema() -> Schema:
    """Draft 2020-12."""
    made = file_type().json_schema()
    definitions = made.pop("$defs")
    sections = {**definitions, ConfigFile.__name__: made}
    for entry in entries(ConfigFile):
        sections[entry.section]["properties"][entry.key]["description"] = entry.meaning
    _file_only(sections)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "NeuroLink's proxy-config.yaml",
        **_section(made),
        "$defs": {name: _section(found) for name, found in definitions.items()},
    }


def _file_only(sections: dict[str, Schema]) -> None:
    """What validators let in before the types are looked at."""
    plugins = sections[Plugins.__name__]["properties"]
    for key, plugin in plugins.items():
        if key == CUSTOM:
            continue
        notes = {name: plugin.pop(name) for name in NOTES if name in plugin}
        plugins[key] = {"anyOf": [plugin, {"type": "boolean"}], **notes}
    captured = sections["Logging"]["properties"]["captureBodies"]
    captured["enum"] = [*captured["enum"], False]  # `off`, to YAML 1.1
    del captured["type"]


def _section(section: Schema) -> Schema:
    required = section.get("required", [])
    properties = {}
    for key, value in section["properties"].items():
        found = _value(value)
        for spelling in dict.fromkeys((key, *_kebab(key))):
            properties[spelling] = found if key in required else _or(found, NULL)
    kept: Schema = {name: section[name] for name in KEPT if name in section}
    return {**kept, "properties": properties}


def _kebab(camel: str) -> tuple[str, ...]:
    """The other spelling of a key."""
    return spellings(re.sub(r"[A-Z]|(?<=[a-z])\d", r"_\g<0>", camel).lower())


def _value(value: Schema) -> Schema:
    value = {name: item for name, item in value.items() if name != "title"}
    if "anyOf" in value:
        inner = [_value(item) for item in value.pop("anyOf")]
        for item in inner:
            value = _or(value, *item["anyOf"]) if "anyOf" in item else _or(value, item)
        return value
    for name in ("items", "additionalProperties"):
        if isinstance(value.get(name), dict):
            value[name] = _value(value[name])
    typed = value.get("type") in ("number", "integer", "boolean") or "enum" in value
    return _or(value, REFERENCE) if typed or "const" in value else value


def _or(value: Schema, *others: Schema) -> Schema:
    """What is one or another; notes are about both."""
    notes = {name: value[name] for name in NOTES if name in value}
    rest = {name: item for name, item in value.items() if name not in NOTES}
    choices = rest.get("anyOf", [rest] if rest else [])
    return {"anyOf": [*choices, *(other for other in others if other not in choices)], **notes}
