from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given

from neurolink_mitm.core.providers.adapt.schemas import MOST_NODES, plain
from tests.core.providers.adapt.any_schemas import ANY_SCHEMA
from tests.core.providers.adapt.requests import Json
from tests.linear import assert_linear
from tests.lookalikes import schemas as rules

DEEP = 40


def of_property(schema: Any, **root: Any) -> Any:
    """What becomes of the schema of a property."""
    return plain({"type": "object", "properties": {"p": schema}, **root}, DEEP)["properties"].get(
        "p"
    )


NO_INPUT = {"type": "object", "properties": {}}
ROOTS: dict[str, tuple[Any, Json]] = {
    "no properties": ({"type": "object"}, NO_INPUT),
    "nothing": ({}, NO_INPUT),
    "null": (None, NO_INPUT),
    "true": (True, NO_INPUT),
    "false": (False, NO_INPUT),
    "an empty list, as PHP writes": ([], NO_INPUT),
    "properties as a list": ({"type": "object", "properties": []}, NO_INPUT),
    "no type": ({"properties": {"a": {"type": "string"}}}, {**NO_INPUT, "properties": {"a": {"type": "string"}}}),
    "or null": ({"type": ["object", "null"]}, NO_INPUT),
    "for validators": ({"type": "object", "$schema": "x", "$id": "y", "$comment": "z"}, NO_INPUT),
    "a reference": ({"$ref": "#/$defs/In", "$defs": {"In": {"properties": {"a": {"type": "string"}}}}},
                    {**NO_INPUT, "properties": {"a": {"type": "string"}}}),
    "alternatives": ({"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [
                        {"required": ["a"]}, {"required": ["b"]}]},
                     {**NO_INPUT, "properties": {"a": {"type": "string"}}}),
    "alternatives with properties": ({"oneOf": [
                        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                        {"type": "object", "properties": {"b": {"type": "null"}}}]},
                     {**NO_INPUT, "properties": {"b": {"type": "null"}, "a": {"type": "string"}}}),
    "all of": ({"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                          {"properties": {"b": {"type": "null"}}, "required": ["b"]}]},
               {**NO_INPUT, "properties": {"a": {"type": "string"}, "b": {"type": "null"}}, "required": ["a", "b"]}),
    "required that is no property": ({**NO_INPUT, "required": ["x", 1, "x"]}, NO_INPUT),
    "required that is no list": ({**NO_INPUT, "required": True}, NO_INPUT),
    "others": ({**NO_INPUT, "additionalProperties": True}, {**NO_INPUT, "additionalProperties": True}),
    "no others": ({**NO_INPUT, "additionalProperties": False}, {**NO_INPUT, "additionalProperties": False}),
    "others that are anything": ({**NO_INPUT, "additionalProperties": {}}, {**NO_INPUT, "additionalProperties": True}),
    "others of a kind": ({**NO_INPUT, "additionalProperties": {"type": "string"}},
                         {**NO_INPUT, "additionalProperties": {"type": "string"}}),
    "by a pattern": ({**NO_INPUT, "patternProperties": {"^x": {"type": "string"}}},
                     {**NO_INPUT, "additionalProperties": {"type": "string"}}),
    "names of a form": ({**NO_INPUT, "propertyNames": {"pattern": "^x"}}, NO_INPUT),
    "conditions": ({**NO_INPUT, "if": {}, "then": {}, "not": {}, "dependentRequired": {}}, NO_INPUT),
}  # fmt: skip


@pytest.mark.parametrize(("schema", "made"), ROOTS.values(), ids=ROOTS)
def test_the_schema_of_a_whole_input(schema: Any, made: Json) -> None:
    assert plain(schema, DEEP) == made


@pytest.mark.parametrize(
    "schema", ["x", 1, ["x"], {"type": "string"}, {"type": "array"}, {"enum": [1]}]
)
def test_what_takes_no_object_is_a_fault(schema: Any) -> None:
    with pytest.raises(ValueError, match="input_schema"):
        plain(schema, DEEP)


POINT: Json = {"type": "object", "properties": {"x": {"type": "number"}}}
PROPERTIES: dict[str, tuple[Any, Any]] = {
    "true": (True, {}),
    "false": (False, None),
    "null": (None, {}),
    "anything": ({}, {}),
    "described": ({"description": "d"}, {"description": "d"}),
    "a list without items": ({"type": "array"}, {"type": "array", "items": {}}),
    "items: true": ({"type": "array", "items": True}, {"type": "array", "items": {}}),
    "items: false": ({"type": "array", "items": False}, {"type": "array", "items": {}}),
    "a tuple": ({"type": "array", "items": [{"type": "string"}, {"type": "number"}]},
                {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "number"}]}}),
    "a tuple of one kind": ({"type": "array", "items": [{"type": "string"}, {"type": "string"}], "minItems": 2},
                            {"type": "array", "items": {"type": "string"}, "minItems": 2}),
    "a tuple as of today": ({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "number"}},
                            {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "number"}]}}),
    "a tuple and no more": ({"prefixItems": [{"type": "string"}], "items": False},
                            {"type": "array", "items": {"type": "string"}}),
    "a tuple of anything": ({"type": "array", "items": [True, {"type": "string"}]}, {"type": "array", "items": {}}),
    "an enumeration": ({"enum": ["a", "b", "a"]}, {"type": "string", "enum": ["a", "b"]}),
    "of numbers": ({"type": "integer", "enum": [1, 2]}, {"type": "integer", "enum": [1, 2]}),
    "of both": ({"enum": ["a", 1, None]}, {"type": ["string", "integer", "null"], "enum": ["a", 1, None]}),
    "an empty one": ({"type": "string", "enum": []}, {"type": "string"}),
    "no list": ({"type": "string", "enum": "a"}, {"type": "string"}),
    "a constant": ({"const": "a"}, {"type": "string", "enum": ["a"]}),
    "types": ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
    "one type in a list": ({"type": ["string"]}, {"type": "string"}),
    "nullable": ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
    "another's type": ({"type": "STRING"}, {"type": "string"}),
    "a type by mistake": ({"type": "int"}, {"type": "integer"}),
    "an unknown type": ({"type": "any"}, {}),
    "a type that is none": ({"type": {"x": 1}}, {}),
    "any of": ({"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
               {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}),
    "one of": ({"oneOf": [{"type": "string"}, {"type": "number"}]},
               {"anyOf": [{"type": "string"}, {"type": "number"}]}),
    "any of one": ({"anyOf": [{"type": "string"}]}, {"type": "string"}),
    "any of anything": ({"anyOf": [{"type": "string"}, True]}, {}),
    "any of what can't be": ({"anyOf": [{"type": "string"}, False]}, {"type": "string"}),
    "any of that is no list": ({"type": "string", "anyOf": {}}, {"type": "string"}),
    "all of one": ({"allOf": [{"type": "string"}], "description": "d"}, {"type": "string", "description": "d"}),
    "a reference": ({"$ref": "#/$defs/Point", "description": "d"}, {**POINT, "description": "d"}),
    "an old one": ({"$ref": "#/definitions/Point"}, POINT),
    "one that is escaped": ({"$ref": "#/$defs/a~1b"}, {"type": "string"}),
    "one into nothing": ({"$ref": "#/$defs/Nobody"}, {}),
    "one into the web": ({"$ref": "https://x.test/schema"}, {}),
    "one that is none": ({"$ref": 1, "type": "string"}, {"type": "string"}),
    "a pattern": ({"type": "string", "pattern": "^(?!x)"}, {"type": "string", "description": "Pattern: ^(?!x)"}),
    "a pattern with words": ({"type": "string", "pattern": "^x", "description": "d"},
                             {"type": "string", "description": "d Pattern: ^x"}),
    "limits": ({"type": "integer", "minimum": 0, "exclusiveMaximum": 9.5, "multipleOf": 2},
               {"type": "integer", "minimum": 0, "exclusiveMaximum": 9.5, "multipleOf": 2}),
    "limits of old": ({"type": "integer", "minimum": 0, "exclusiveMinimum": True},
                      {"type": "integer", "exclusiveMinimum": 0}),
    "limits that are none": ({"type": "string", "minLength": "1", "maxLength": -1, "minimum": True, "multipleOf": 0},
                             {"type": "string"}),
    "a format": ({"type": "string", "format": "uri"}, {"type": "string", "format": "uri"}),
    "a format that is none": ({"type": "string", "format": 1}, {"type": "string"}),
    "words that are none": ({"type": "string", "description": ["d"], "title": 1}, {"type": "string"}),
    "a default": ({"type": "string", "default": "x"}, {"type": "string", "default": "x"}),
    "examples": ({"type": "string", "examples": ["x"], "x-of-mine": 1}, {"type": "string"}),
}  # fmt: skip


@pytest.mark.parametrize(("schema", "made"), PROPERTIES.values(), ids=PROPERTIES)
def test_the_schema_of_a_property(schema: Any, made: Any) -> None:
    shared = {"Point": POINT, "a/b": {"type": "string"}}
    assert of_property(schema, **{"$defs": shared, "definitions": shared}) == made


def test_what_contains_itself_is_written_out_once() -> None:
    tree = {"type": "object", "description": "A tree.", "properties": {
        "left": {"$ref": "#/$defs/Tree"}, "many": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}}}  # fmt: skip
    made = of_property({"$ref": "#/$defs/Tree"}, **{"$defs": {"Tree": tree}})
    inner = {"type": "object", "description": "A tree.", "properties": {}}
    assert made["properties"] == {"left": inner, "many": {"type": "array", "items": inner}}


def test_what_is_too_deep_is_only_named() -> None:
    schema: Json = {"type": "string"}
    for _ in range(900):
        schema = {"type": "object", "description": "d", "properties": {"p": schema}, "title": "t"}
    made, depth = plain(schema, 5), 0
    while made["properties"]:
        made, depth = made["properties"]["p"], depth + 1
    assert (made, depth) == (
        {"type": "object", "title": "t", "description": "d", "properties": {}},
        5,
    )


def test_references_to_references_end() -> None:
    chain = {f"a{i}": {"$ref": f"#/$defs/a{i + 1}"} for i in range(3000)}
    assert of_property({"$ref": "#/$defs/a0"}, **{"$defs": chain}) == {}


def test_references_that_double_each_time_end() -> None:
    doubled = {f"a{i}": {"type": "object", "properties": {
        side: {"$ref": f"#/$defs/a{i + 1}"} for side in "lr"}} for i in range(30)}  # fmt: skip
    made = of_property({"$ref": "#/$defs/a0"}, **{"$defs": doubled})
    assert sum(1 for _ in rules.walk(made)) < 3 * MOST_NODES


@given(ANY_SCHEMA)
def test_any_schema_becomes_one_that_all_take_or_is_a_fault(schema: Json) -> None:
    before = copy.deepcopy(schema)
    try:
        made = plain(schema, 8)
    except ValueError:
        return
    finally:
        assert schema == before
    rules.openai("mine", made)
    rules.draft7("mine", made)


def long_lists(size: int) -> Json:
    values = [str(number) for number in range(size // 16)]
    properties = {"a": {"enum": values}} | {value: {"type": "string"} for value in values}
    return {"type": "object", "properties": properties, "required": values}


def test_a_long_schema_takes_time_in_proportion() -> None:
    assert_linear(lambda schema: plain(schema, DEEP), long_lists)
