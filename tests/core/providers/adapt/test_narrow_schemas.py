from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from neurolink_mitm.core.providers.adapt.narrow_schemas import ANY_NAME, narrow
from neurolink_mitm.core.providers.adapt.schemas import plain
from tests.core.providers.adapt.any_schemas import ANY_SCHEMA
from tests.core.providers.adapt.requests import Json
from tests.lookalikes import schemas as rules
from tests.lookalikes.gemini_tools import check_schema as check_gemini

DEPTH = 8


def gemini(schema: Any, **root: Any) -> Json:
    whole = {"type": "object", "properties": {"p": schema}, **root}
    made: Json = narrow(plain(whole, DEPTH), "gemini")["properties"]["p"]
    return made


MEMBERS = {"description": "Any number of members, each with its own name."}
FREE_OBJECT: Json = {"type": "object", "properties": {ANY_NAME: {"type": "string", **MEMBERS}}}
ANYTHING = [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, FREE_OBJECT]
PROPERTIES: dict[str, tuple[Any, Json]] = {
    "true": (True, {"anyOf": ANYTHING}),
    "items: true": ({"type": "array", "items": True}, {"type": "array", "items": {"anyOf": ANYTHING}}),
    "a list without items": ({"type": "array"}, {"type": "array", "items": {"anyOf": ANYTHING}}),
    "an empty text in an enumeration": ({"type": "string", "enum": ["", "a"]},
                                        {"type": "string", "enum": ["a"], "description": "May be empty."}),
    "nothing but that": ({"type": "string", "enum": [""]}, {"type": "string", "description": "May be empty."}),
    "an enumeration of numbers": ({"type": "integer", "enum": [1, 2], "description": "d"},
                                  {"type": "integer", "description": "d One of: 1, 2."}),
    "of booleans": ({"const": True}, {"type": "boolean", "description": "One of: true."}),
    "with null": ({"enum": ["a", None]}, {"type": "string", "enum": ["a"], "nullable": True}),
    "of all kinds": ({"enum": ["a", 1]}, {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "integer"}]}),
    "types": ({"type": ["string", "integer"]}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
    "or null": ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
    "any or null": ({"anyOf": [{"type": "string"}, {"type": "null"}], "description": "d"},
                    {"type": "string", "description": "d", "nullable": True}),
    "any of three": ({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "null"}]},
                     {"anyOf": [{"type": "string", "nullable": True}, {"type": "number", "nullable": True}]}),
    "two or null by types": ({"type": ["string", "number", "null"]},
                             {"anyOf": [{"type": "string", "nullable": True}, {"type": "number", "nullable": True}]}),
    "null": ({"type": "null"}, {"type": "string", "nullable": True}),
    "a date": ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
    "another format": ({"type": "string", "format": "uri"}, {"type": "string", "description": "Format: uri."}),
    "limits": ({"type": "integer", "minimum": 1, "maximum": 5, "multipleOf": 2},
               {"type": "integer", "minimum": 1, "maximum": 5}),
    "open limits": ({"type": "number", "exclusiveMinimum": 0}, {"type": "number", "description": "More than 0."}),
    "a default": ({"type": "integer", "default": 5, "title": "t"}, {"type": "integer", "description": "Default: 5."}),
    "an object": ({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
                   "additionalProperties": False},
                  {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}),
    "an object of anything": ({"type": "object", "additionalProperties": True}, FREE_OBJECT),
    "an object of numbers": ({"type": "object", "additionalProperties": {"type": "integer"}},
                             {"type": "object", "properties": {ANY_NAME: {"type": "integer", **MEMBERS}}}),
}  # fmt: skip


@pytest.mark.parametrize(("schema", "made"), PROPERTIES.values(), ids=PROPERTIES)
def test_a_property_as_gemini_takes_it(schema: Any, made: Json) -> None:
    assert gemini(schema) == made


def test_names_that_gemini_or_litellm_would_not_take_are_told_in_words() -> None:
    schema = {"type": "object", "properties": {
        "a": {"type": "string"}, "$b": {"type": "string", "description": "B."}, "strict": {"type": "boolean"}},
        "required": ["a", "$b"]}  # fmt: skip
    made = narrow(plain(schema, DEPTH), "gemini")
    assert (set(made["properties"]), made["required"]) == ({"a"}, ["a"])
    assert made["description"] == (
        'Also takes "$b" (string, required): B. Also takes "strict" (boolean, optional): '
    )


def test_nothing_is_left_of_an_input_without_properties() -> None:
    assert narrow(plain({"type": "object", "properties": {}}, DEPTH), "gemini") == {
        "type": "object"
    }


def typed(schema: Any) -> Json:
    made: Json = narrow(plain({"type": "object", "properties": {"p": schema}}, DEPTH), "typed")
    return made["properties"]["p"]  # type: ignore[no-any-return]


FREE = [
    {"type": "string"},
    {"type": "number"},
    {"type": "boolean"},
    {"type": "object", "properties": {}},
]
A, B = ({"type": "object", "properties": {name: {"type": "string"}}} for name in "ab")
TYPED: dict[str, tuple[Any, Json]] = {
    "true": (True, {"anyOf": FREE}),
    "described": ({"description": "d"}, {"anyOf": FREE, "description": "d"}),
    "types": ({"type": ["string", "null"], "description": "d"},
              {"description": "d", "anyOf": [{"type": "string"}, {"type": "null"}]}),
    "a type and alternatives": ({"type": "object", "anyOf": [A, B]}, {"anyOf": [A, B]}),
    "limits": ({"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "exclusiveMinimum": 0}),
    "a list": ({"type": "array"}, {"type": "array", "items": {"anyOf": FREE}}),
}  # fmt: skip


@pytest.mark.parametrize(("schema", "made"), TYPED.values(), ids=TYPED)
def test_a_property_where_all_must_have_a_type(schema: Any, made: Json) -> None:
    assert typed(schema) == made


@given(ANY_SCHEMA)
def test_any_schema_becomes_one_that_gemini_and_moonshot_take(schema: Json) -> None:
    try:
        made = plain(schema, DEPTH)
    except ValueError:
        return
    rules.moonshot("mine", narrow(made, "typed"))
    narrowed = narrow(made, "gemini")
    if made["properties"]:
        check_gemini(narrowed, "parameters")
    for _, each in rules.walk(narrowed):
        assert set(each) <= {"anyOf", "description"} if "anyOf" in each else "type" in each
        assert "" not in each.get("enum", ())
        assert "enum" not in each or each["type"] == "string"
