"""Example values for JSON schemas: the sandbox's inputs of tools."""

from collections.abc import Mapping
from typing import Any

from neurolink_mitm.sandbox.errors import ApiError

Schema = Mapping[str, Any]

MAX_DEPTH = 8
"""Levels after which a value is None: schemas may refer to themselves."""
LONGEST = 100
"""Items of a list, and characters of a text, that a value has because its schema wants so many."""
INVALID = "JSON schema is invalid. It must match JSON Schema draft 2020-12"
"""https://github.com/anthropics/claude-code/issues/10606"""


def example(schema: Schema) -> Any:
    """Return a value of this schema. Raises `ApiError` for what is no schema."""
    try:
        return _value(schema, schema, 0)
    except (AttributeError, TypeError, OverflowError) as e:
        raise ApiError(400, INVALID) from e


def _value(schema: Schema, root: Schema, depth: int) -> Any:
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("enum", "examples"):
        if schema.get(key):
            return schema[key][0]
    if depth >= MAX_DEPTH:
        return None
    if (target := _target(schema, root)) is not None:
        return _value(target, root, depth + 1)
    return _of_type(_type(schema), schema, root, depth)


def _target(schema: Schema, root: Schema) -> Schema | None:
    """Return the schema of a `$ref`, or the first choice of `anyOf` and its like."""
    ref = schema.get("$ref")
    if isinstance(ref, str) and ref.startswith("#"):
        return _at(root, [part for part in ref[1:].split("/") if part])
    for key in ("anyOf", "oneOf", "allOf"):
        for choice in schema.get(key, ()):
            if choice.get("type") != "null":
                return {**schema, key: [], **choice}
    return None


def _at(root: Schema, path: list[str]) -> Schema:
    node: Any = root
    for part in path:
        node = node.get(part, {}) if isinstance(node, Mapping) else {}
    return node if isinstance(node, Mapping) else {}


def _type(schema: Schema) -> str:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        return next((k for k in kind if k != "null"), "null")
    return str(kind)


def _of_type(kind: str, schema: Schema, root: Schema, depth: int) -> Any:
    match kind:
        case "object":
            properties = schema.get("properties", {})
            names = schema.get("required") or properties
            texts = [name for name in names if isinstance(name, str)]
            return {n: _value(properties.get(n, {}), root, depth + 1) for n in texts}
        case "array":
            item = _value(schema.get("items", {}), root, depth + 1)
            return [item] * min(LONGEST, max(1, schema.get("minItems", 1)))
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
        case "null":
            return None
        case _:
            length = min(LONGEST, schema.get("minLength", 0))
            return "sandbox".ljust(length, "x")[: schema.get("maxLength")]
