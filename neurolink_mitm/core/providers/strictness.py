"""Tells whether OpenAI can hold an answer strictly to a JSON Schema: it refuses a strict schema of any other form.

https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_NESTED = ("properties", "$defs", "definitions")
"""Keywords whose value holds schemas by name."""
_PLAIN = frozenset(
    {"type", "description", "title", "enum", "const", "required", "additionalProperties", "$ref", "pattern",
     "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems", "maxItems"}
)  # fmt: skip
_DEEPEST = 10
"""Levels of nesting that are taken."""


def is_strict(schema: Any) -> bool:
    """Tell whether `schema` is an object of which all members are required, and so are all objects in it."""
    return isinstance(schema, dict) and schema.get("type") == "object" and _strict(schema, 0)


def _strict(schema: Any, depth: int) -> bool:
    if not isinstance(schema, dict) or depth > _DEEPEST or not _closed(schema):
        return False
    for name, value in schema.items():
        if name in _NESTED:
            inner = list(value.values()) if isinstance(value, dict) else [None]
        elif name == "anyOf":
            inner = value if isinstance(value, list) else [None]
        elif name == "items":
            inner = [value]
        elif name in _PLAIN:
            continue
        else:
            return False
        if not all(_strict(each, depth + 1) for each in inner):
            return False
    return True


def _closed(schema: dict[str, Any]) -> bool:
    """Tell whether an object takes exactly the members that it names. Every schema needs a type."""
    kind = schema.get("type")
    if kind is None:
        return any(name in schema for name in ("anyOf", "$ref", "enum", "const"))
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        return True
    properties, required = schema.get("properties", {}), schema.get("required", [])
    named = isinstance(properties, dict) and isinstance(required, list)
    return (
        named and schema.get("additionalProperties") is False and set(required) == set(properties)
    )


def answer_schema(request: Json) -> Json | None:
    """Return the JSON Schema that the answer has to follow; None where the client asks for none."""
    config = request.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else None
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return None
    schema = wanted.get("schema")
    return schema if isinstance(schema, dict) else None
