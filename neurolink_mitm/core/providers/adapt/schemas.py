"""Adapts the schema of a tool's input.

First it becomes plain (`plain`): a JSON Schema that everyone who reads JSON Schema takes. References are written out,
`true`, tuples, `const`, `oneOf` and `allOf` are replaced, and keywords that some refuse or that are malformed are left
out: the client checks the input of its tools itself. Then it becomes as narrow as the provider wants it
(`narrow_schemas`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from neurolink_mitm.core.providers.adapt.form import Json
from neurolink_mitm.core.providers.adapt.narrow_schemas import narrow
from neurolink_mitm.core.providers.traits import Traits

TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_ALIASES = {"str": "string", "text": "string", "int": "integer", "long": "integer", "float": "number",
            "double": "number", "bool": "boolean", "dict": "object", "list": "array", "none": "null"}  # fmt: skip
"""Types as they are written by mistake: https://github.com/zereight/gitlab-mcp/issues/166"""
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
MOST_NODES = 5000
"""Schemas within a schema, references written out; what comes after is only named by its type."""
_LONGEST_PATTERN = 300
"""Characters of a regular expression that is told to the model."""


def adapted_schema(schema: Any, traits: Traits) -> Json:
    """Return the schema of a tool's input in the provider's dialect.

    Raises:
        ValueError: no object can be the input.
    """
    return narrow(plain(schema, traits.schema_depth), traits.schema)


def plain(schema: Any, deepest: int) -> Json:
    """Return the schema of an object, with `properties`, at most `deepest` levels deep.

    OpenAI refuses "object schema missing properties", "array schema missing items", and alternatives at the top.

    Raises:
        ValueError: no object can be the input.
    """
    if (
        schema is not None and schema != [] and not isinstance(schema, dict | bool)
    ):  # PHP writes {} as []
        raise ValueError("input_schema must be a JSON object")
    read = _Reader(schema, deepest).read(schema or {}, 0, frozenset())
    kinds = _kinds(read)
    if kinds and "object" not in kinds:
        raise ValueError('input_schema.type must be "object"')
    for option in read.pop("anyOf", ()):
        if option.get("properties"):  # any of them may be asked for, none must be there
            read["properties"] = {**option["properties"], **read.get("properties", {})}
    made: Json = {"type": "object", "properties": read.get("properties", {})}
    for name in ("title", "description", "required", "additionalProperties"):
        if name in read:
            made[name] = read[name]
    return made


class _Reader:
    """Reads the parts of a schema, whose references point into `root`."""

    def __init__(self, root: Any, deepest: int) -> None:
        self._root = root
        self._deepest = deepest
        self._left = MOST_NODES

    def read(self, schema: Any, depth: int, within: frozenset[str]) -> Json:
        """Return the plain schema; `within` are the references that led here. `{}` takes anything."""
        if not isinstance(schema, dict):
            return {}
        self._left -= 1
        reference = schema.get("$ref")
        if isinstance(reference, str):
            target = self._target(reference)
            rest = {name: value for name, value in schema.items() if name != "$ref"}
            if reference in within or depth >= self._deepest:
                return _named_only({**target, **rest})
            return self.read({**target, **rest}, depth + 1, within | {reference})
        if depth >= self._deepest or self._left < 0:
            return _named_only(schema)
        read = self._own(schema, depth + 1, within)
        for part in _list(schema.get("allOf")):
            read = _both(read, self.read(part, depth + 1, within))
        options = self._options(schema, depth + 1, within)
        if len(options) == 1:
            return _both(read, options[0])
        return {**read, "anyOf": options} if options else read

    def _target(self, reference: str) -> Json:
        """Return what a reference within the document (`#/$defs/Point`) points at; `{}` for any other."""
        found: Any = self._root
        for step in reference.split("/")[1:] if reference.startswith("#") else (None,):
            step = (step or "").replace("~1", "/").replace("~0", "~")
            found = found.get(step) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def _options(self, schema: Json, depth: int, within: frozenset[str]) -> list[Json]:
        """Return the alternatives; none if one of them says nothing, as `{"required": […]}` by itself."""
        given = _list(schema.get("anyOf")) or _list(schema.get("oneOf"))
        options = [self.read(each, depth, within) for each in given if each is not False]
        return _once(options) if all(options) else []

    def _own(self, schema: Json, depth: int, within: frozenset[str]) -> Json:
        kinds = _kinds(schema)
        read: Json = {"type": kinds[0] if len(kinds) == 1 else kinds} if kinds else {}
        read |= _words(schema)
        if values := _values(schema):
            read["enum"] = values
        if "default" in schema:
            read["default"] = schema["default"]
        if isinstance(schema.get("format"), str):
            read["format"] = schema["format"]
        read |= _limits(schema)
        if "object" in kinds:
            read |= self._members(schema, depth, within)
        if "array" in kinds:
            read["items"] = self._items(schema, depth, within)
            if isinstance(schema.get("uniqueItems"), bool):
                read["uniqueItems"] = schema["uniqueItems"]
        return read

    def _members(self, schema: Json, depth: int, within: frozenset[str]) -> Json:
        given = _dict(schema.get("properties"))
        properties = {
            name: self.read(value, depth, within)
            for name, value in given.items()
            if value is not False
        }
        read: Json = {"properties": properties}
        names = _once(name for name in _list(schema.get("required")) if isinstance(name, str))
        if required := [name for name in names if name in properties]:
            read["required"] = required
        patterns = list(_dict(schema.get("patternProperties")).values())
        others = schema.get("additionalProperties", patterns[0] if len(patterns) == 1 else None)
        if isinstance(others, bool):
            read["additionalProperties"] = others or bool(patterns)
        elif isinstance(others, dict):
            read["additionalProperties"] = self.read(others, depth, within) or True
        return read

    def _items(self, schema: Json, depth: int, within: frozenset[str]) -> Json:
        """Return the schema of an array's items; of a tuple, the alternatives."""
        items = schema.get("items")
        places = _list(schema.get("prefixItems")) or _list(items)
        if not places:
            return self.read(items, depth, within)
        rest = items if isinstance(items, dict) else schema.get("additionalItems")
        given = [*places, *([rest] if isinstance(rest, dict) else [])]
        options = _once(self.read(each, depth, within) for each in given if each is not False)
        if not all(options):
            return {}
        return options[0] if len(options) == 1 else {"anyOf": options} if options else {}


def _named_only(schema: Json) -> Json:
    """Return no more than type and description: of what is too deep, too much, or contains itself."""
    kinds = [kind for kind in _kinds(schema) if kind != "null"]
    if not kinds:
        return {}
    inner: Json = {"properties": {}} if kinds[0] == "object" else {}
    inner |= {"items": {}} if kinds[0] == "array" else {}
    return {"type": kinds[0], **_words(schema), **inner}


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    """Return the types of a schema, guessed from its other keywords if it names none."""
    given = schema.get("type")
    named = [
        each for each in (given if isinstance(given, list) else [given]) if isinstance(each, str)
    ]
    lowered = [each.lower() for each in named]
    kinds = [_ALIASES.get(each, each) for each in lowered]
    kinds = _once(kind for kind in kinds if kind in TYPES)
    if not kinds:
        kinds = _guessed(schema)
    if schema.get("nullable") is True and kinds and "null" not in kinds:
        kinds.append("null")
    return kinds


def _guessed(schema: Mapping[str, Any]) -> list[str]:
    if any(isinstance(schema.get(name), dict) for name in ("properties", "patternProperties")):
        return ["object"]
    if isinstance(schema.get("additionalProperties"), dict):
        return ["object"]
    if "items" in schema or "prefixItems" in schema:
        return ["array"]
    return _once(_type_of(value) for value in _values(schema))


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return kinds.get(type(value), "object")


def _values(schema: Mapping[str, Any]) -> list[Any]:
    return _once([schema["const"]] if "const" in schema else _list(schema.get("enum")))


def _words(schema: Mapping[str, Any]) -> Json:
    """Return title and description. A pattern is told in words: not every provider reads every regular expression."""
    words = {
        name: schema[name]
        for name in ("title", "description")
        if isinstance(schema.get(name), str) and schema[name]
    }
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and 0 < len(pattern) <= _LONGEST_PATTERN:
        words["description"] = f"{words.get('description', '')} Pattern: {pattern}".strip()
    return words


def _limits(schema: Mapping[str, Any]) -> Json:
    limits = {name: schema[name] for name in _COUNTS if _is_number(schema.get(name), int)}
    limits = {name: value for name, value in limits.items() if value >= 0}
    bounds = {name: schema[name] for name in _BOUNDS if _is_number(schema.get(name), int | float)}
    if bounds.get("multipleOf", 1) <= 0:
        del bounds["multipleOf"]
    for end in ("Minimum", "Maximum"):
        if schema.get(f"exclusive{end}") is True and end.lower() in bounds:  # of draft 4
            bounds[f"exclusive{end}"] = bounds.pop(end.lower())
    return limits | bounds


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)


def _both(one: Json, other: Json) -> Json:
    """Return a plain schema for what both take."""
    both = {**other, **one}
    for name in ("properties",):
        if name in one and name in other:
            both[name] = {**other[name], **one[name]}
    if required := _once([*one.get("required", ()), *other.get("required", ())]):
        both["required"] = [name for name in required if name in both.get("properties", {})]
    if "anyOf" in one and "anyOf" in other:
        both["anyOf"] = one["anyOf"]
    return both


def _once(values: Iterable[Any]) -> list[Any]:
    """Return the values without repetitions, in their order."""
    return list(
        {json.dumps(value, sort_keys=True, default=str): value for value in values}.values()
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
