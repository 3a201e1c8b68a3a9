"""JSON Schemas as Anthropic's structured outputs and strict tools take them.

Objects are closed; bounds and patterns have no keyword and are told in the description, as Anthropic's SDKs do.
https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE

Json = dict[str, Any]

_DEEPEST = 40
_LONGEST = 1 << 16
"""Bytes of a schema: Anthropic compiles it to a grammar, whose size has a bound, too."""
_PLAIN = frozenset({"type", "title", "enum", "const", "required", "$ref", "default"})
_LISTS = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}
_NESTED = frozenset({"properties", "$defs", "definitions"})
_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_SILENT = frozenset(
    {"$schema", "$id", "$comment", "examples", "description", "additionalProperties"}
)
_MOST_OPTIONAL, _MOST_UNIONS = 24, 16
"""Bounds of one request, for all its schemas together."""


class NarrowError(ValueError):
    """A schema that Anthropic can't hold an answer to."""


@dataclass(slots=True)
class Narrowing:
    """Narrows the schemas of one request, whose bounds they share."""

    optional: int = 0
    unions: int = 0

    def of(self, schema: bytes) -> Json | None:
        """Return a schema (JSON) in Anthropic's form; None where that would take other answers."""
        before = self.optional, self.unions
        try:
            if len(schema) > _LONGEST:
                raise NarrowError("too complex")
            narrowed = self._narrow(msgspec.json.decode(schema), 0)
            if not _is_finite(narrowed):
                raise NarrowError("recursive")
            if self.optional > _MOST_OPTIONAL or self.unions > _MOST_UNIONS:
                raise NarrowError("too complex")
        except (NarrowError, *UNREADABLE):
            self.optional, self.unions = before
            return None
        return narrowed

    def _narrow(self, schema: Any, depth: int) -> Json:
        if not isinstance(schema, dict) or depth > _DEEPEST or not schema:
            raise NarrowError("takes anything, or is too deep")
        made: Json = {}
        words: Json = {}
        for name, value in schema.items():
            if name in _PLAIN:
                made[name] = value
            elif name in _LISTS:
                made[_LISTS[name]] = self._each(value, depth)
            elif name in _NESTED:
                made[name] = {
                    key: self._narrow(inner, depth + 1) for key, inner in _object(value).items()
                }
            elif name == "items":
                made[name] = self._narrow(value, depth + 1)
            elif (name == "format" and value in _FORMATS) or (
                name == "minItems" and value in (0, 1)
            ):
                made[name] = value
            elif name not in _SILENT:
                words[name] = value
        self._count(made)
        _close(made, schema)
        description = [str(schema["description"])] if schema.get("description") else []
        if words:
            description.append(msgspec.json.encode(words).decode())
        return {**made, "description": "\n\n".join(description)} if description else made

    def _each(self, schemas: Any, depth: int) -> list[Json]:
        if not isinstance(schemas, list) or not schemas:
            raise NarrowError("no alternatives")
        return [self._narrow(each, depth + 1) for each in schemas]

    def _count(self, made: Json) -> None:
        self.unions += "anyOf" in made or isinstance(made.get("type"), list)
        required = made.get("required", [])
        if not isinstance(required, list):
            raise NarrowError("required is no list")
        self.optional += len(
            set(made.get("properties", ())) - {each for each in required if isinstance(each, str)}
        )


def _object(value: Any) -> Json:
    if not isinstance(value, dict):
        raise NarrowError("no object")
    return value


def _close(made: Json, schema: Json) -> None:
    """Close an object: it takes the members that it names. A map of any names can't be told."""
    kind = made.get("type")
    if (
        kind != "object"
        and not (isinstance(kind, list) and "object" in kind)
        and "properties" not in made
    ):
        if not any(name in made for name in ("type", "anyOf", "allOf", "$ref", "enum", "const")):
            raise NarrowError("takes anything")
        if kind == "array" and "items" not in made:
            raise NarrowError("takes any items")
        return
    more = schema.get("additionalProperties")
    if isinstance(more, dict) or (not made.get("properties") and more is not False):
        raise NarrowError("takes any members")
    made.setdefault("properties", {})
    made["additionalProperties"] = False


def _is_finite(schema: Json) -> bool:
    """Tell whether no definition leads to itself, and all references are to definitions of the schema."""
    kinds = ("$defs", "definitions")
    definitions = {
        f"#/{kind}/{name}": inner for kind in kinds for name, inner in schema.get(kind, {}).items()
    }
    edges = {name: _references(inner) for name, inner in definitions.items()}
    rest = {name: value for name, value in schema.items() if name not in kinds}
    if not set(definitions).issuperset(set().union(_references(rest), *edges.values())):
        return False
    free = [name for name, inner in edges.items() if not inner]
    users: dict[str, list[str]] = {}
    for name, inner in edges.items():
        for each in inner:
            users.setdefault(each, []).append(name)
    left = {name: len(inner) for name, inner in edges.items()}
    done = 0
    while free:
        done += 1
        for user in users.get(free.pop(), ()):
            left[user] -= 1
            if not left[user]:
                free.append(user)
    return done == len(edges)


def _references(value: Any) -> set[str]:
    references, rest = set(), [value]
    while rest:
        each = rest.pop()
        if isinstance(each, dict):
            if isinstance(each.get("$ref"), str):
                references.add(each["$ref"])
            rest.extend(each.values())
        elif isinstance(each, list):
            rest.extend(each)
    return references
