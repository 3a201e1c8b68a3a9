"""Narrows a plain schema (`schemas.plain`) to the part of JSON Schema that a provider takes.

`typed`: each schema has a type or alternatives, never both
    ("type is not defined", https://github.com/MoonshotAI/kimi-cli/issues/1595).
`gemini`: Google's subset of OpenAPI's, https://ai.google.dev/api/caching#Schema. Its `parametersJsonSchema` would take
    more, but LiteLLM knows only `parameters`. What this has no keyword for is told in the description.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from neurolink_mitm.core.providers.adapt.form import Json
from neurolink_mitm.core.providers.traits import Dialect

_ANYTHING = ("string", "number", "boolean", "object")
"""What stands for a schema that takes anything; it must be of some type."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
"""Names of properties that Gemini takes for certain."""
_EATEN = frozenset({"strict"})
"""Names of properties that LiteLLM takes for a keyword of OpenAI's and removes (`_remove_strict_from_schema`)."""
_KEPT = {
    "string": ("minLength", "maxLength"),
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}
"""The bounds that Gemini takes, by type. LiteLLM drops others without a word."""
ANY_NAME = "any_name"
_LONGEST_WORDS = 500
"""Characters that tell the values of an enumeration, or a default."""


def narrow(schema: Json, dialect: Dialect) -> Json:
    """Return the plain schema in the dialect."""
    if dialect == "json-schema":
        return schema
    if dialect == "typed":
        return _typed(schema)
    return _gemini(schema) if schema["properties"] else {"type": "object"}


def _typed(schema: Any) -> Json:
    if not schema:
        return {"anyOf": [_typed({"type": kind}) for kind in _ANYTHING]}
    kinds = _kinds(schema)
    options = [] if schema.get("properties") else schema.get("anyOf", ())
    if options or len(kinds) > 1:
        given = options or [_for_one(schema, kind) for kind in kinds]
        return {**_annotations(schema), "anyOf": [_typed(each) for each in given]}
    if not kinds:
        return {**_typed({}), **_annotations(schema)}
    made = {name: value for name, value in schema.items() if name != "anyOf"}
    if kinds == ["object"]:
        inner = schema.get("properties", {})
        made["properties"] = {name: _typed(value) for name, value in inner.items()}
    if isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = _typed(schema["additionalProperties"])
    if kinds == ["array"]:
        made["items"] = _typed(schema.get("items"))
    return made


def _annotations(schema: Json) -> Json:
    return {name: schema[name] for name in ("title", "description", "default") if name in schema}


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    kind = schema.get("type", [])
    return kind if isinstance(kind, list) else [kind]


_BELONGS = {
    "object": ("properties", "required", "additionalProperties", "minProperties", "maxProperties"),
    "array": ("items", "minItems", "maxItems", "uniqueItems"),
    "string": ("enum", "format", "minLength", "maxLength"),
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


def _for_one(schema: Json, kind: str) -> Json:
    """Return the part of a schema that concerns values of one type."""
    names = _BELONGS.get(kind, ())
    return {"type": kind, **{name: schema[name] for name in names if name in schema}}


def _gemini(schema: Any) -> Json:
    """Return the schema as Gemini takes it: one type or alternatives, and hardly any keywords."""
    kinds = _kinds(schema or {})
    if "null" in kinds:
        rest = [kind for kind in kinds if kind != "null"]
        return _or_null(_gemini({**schema, "type": rest} if rest else {"type": "string"}))
    options = [] if not schema or schema.get("properties") else schema.get("anyOf", ())
    if not options and len(kinds) != 1:
        options = [_for_one(schema or {}, kind) for kind in kinds or _ANYTHING]
    if options:
        return _gemini_options(schema or {}, options)
    return _gemini_one(schema, kinds[0])


def _gemini_options(schema: Json, options: list[Json]) -> Json:
    """Return alternatives. Beside them Gemini takes no other keyword: https://github.com/BerriAI/litellm/issues/11164."""
    made = [_gemini(each) for each in options if _kinds(each) != ["null"]]
    words = {"description": schema["description"]} if schema.get("description") else {}
    one = made[0] if made else {"type": "string"}
    found = {**words, "anyOf": made} if len(made) > 1 else {**one, **words}
    return _or_null(found) if len(made) < len(options) else found


def _or_null(schema: Json) -> Json:
    if "anyOf" in schema:
        return {**schema, "anyOf": [_or_null(each) for each in schema["anyOf"]]}
    return {**schema, "nullable": True}


def _gemini_one(schema: Json, kind: str) -> Json:
    made: Json = {"type": kind}
    words = [schema.get("description", ""), *_told(schema, kind)]
    kept = {name: schema[name] for name in _KEPT.get(kind, ()) if name in schema}
    if kind == "string":
        texts = [each for each in schema.get("enum", ()) if isinstance(each, str) and each]
        made |= {"enum": texts} if texts else {}
        made |= {"format": "date-time"} if schema.get("format") == "date-time" else {}
    elif kind == "array":
        made["items"] = _gemini(schema.get("items"))
    elif kind == "object":
        members, others = _gemini_members(schema)
        made |= members
        words += others
    if None in schema.get("enum", ()):
        made["nullable"] = True
    if text := " ".join(word for word in words if word):
        made["description"] = text
    return {**made, **kept}


def _told(schema: Json, kind: str) -> Iterator[str]:
    """Yield in words what Gemini has no keyword for."""
    values = schema.get("enum", ())
    if values and kind != "string":
        yield _listed("One of:", values)
    elif "" in values:
        yield "May be empty."
    form = schema.get("format")
    if kind == "string" and form not in (None, "date-time", "enum"):
        yield f"Format: {form}."
    for name, words in (("exclusiveMinimum", "More than"), ("exclusiveMaximum", "Less than")):
        if name in schema:
            yield f"{words} {schema[name]}."
    if schema.get("default") not in (None, "", [], {}):
        yield _listed("Default:", [schema["default"]])


def _listed(words: str, values: Any) -> str:
    text = ", ".join(json.dumps(value, ensure_ascii=False, default=str) for value in values)
    return f"{words} {text}." if len(text) <= _LONGEST_WORDS else ""


def _gemini_members(schema: Json) -> tuple[Json, list[str]]:
    """Return the properties, and in words those whose names are not taken."""
    given = schema.get("properties", {})
    taken = {name for name in given if _NAME.fullmatch(name) and name not in _EATEN}
    inner = {name: _gemini(value) for name, value in given.items() if name in taken}
    members: Json = {"properties": inner or _any_members(schema)}
    if required := [name for name in schema.get("required", ()) if name in taken]:
        members["required"] = required
    others = [_in_words(name, value, schema) for name, value in given.items() if name not in taken]
    return members, others


def _any_members(schema: Json) -> Json:
    """Return what stands for members of any name: Gemini's "properties: should be non-empty for OBJECT type"."""
    others = schema.get("additionalProperties")
    value = _gemini(others) if isinstance(others, dict) else {"type": "string"}
    return {ANY_NAME: {**value, "description": "Any number of members, each with its own name."}}


def _in_words(name: str, schema: Json, parent: Json) -> str:
    kind = " or ".join(_kinds(schema)) or "anything"
    need = "required" if name in parent.get("required", ()) else "optional"
    return f"Also takes {json.dumps(name, ensure_ascii=False)} ({kind}, {need}): {schema.get('description', '')}"
