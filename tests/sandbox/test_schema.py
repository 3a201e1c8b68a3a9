from typing import Any

import pytest

from neurolink_mitm.sandbox.errors import ApiError
from neurolink_mitm.sandbox.schema import LONGEST, example


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        pytest.param({"type": "string"}, "sandbox", id="string"),
        pytest.param({"type": "string", "minLength": 9}, "sandboxxx", id="long string"),
        pytest.param({"type": "string", "maxLength": 3}, "san", id="short string"),
        pytest.param({"type": "integer", "minimum": 5}, 5, id="integer"),
        pytest.param({"type": "number"}, 1, id="number"),
        pytest.param({"type": "boolean"}, False, id="boolean"),
        pytest.param({"type": "null"}, None, id="null"),
        pytest.param({"type": ["null", "boolean"]}, False, id="first type that says something"),
        pytest.param({"const": 7, "type": "integer"}, 7, id="const"),
        pytest.param({"default": "d"}, "d", id="default"),
        pytest.param({"enum": ["x", "y"]}, "x", id="enum"),
        pytest.param({"examples": ["e"], "type": "string"}, "e", id="examples"),
        pytest.param({"type": "array", "items": {"const": 1}, "minItems": 2}, [1, 1], id="array"),
        pytest.param({"anyOf": [{"type": "null"}, {"const": 3}]}, 3, id="anyOf"),
        pytest.param({"$ref": "#/$defs/n", "$defs": {"n": {"const": 4}}}, 4, id="ref"),
        pytest.param({"$ref": "#/$defs/no"}, "sandbox", id="ref to nothing"),
        pytest.param({}, "sandbox", id="empty"),
    ],
)
def test_example(schema: dict[str, Any], value: object) -> None:
    assert example(schema) == value


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": 1},
        {"properties": {"a": None}},
        {"properties": {"a": []}},
        {"type": "object", "required": 5},
    ],
)
def test_what_is_no_schema_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ApiError, match="JSON schema is invalid"):
        example(schema)


def test_a_value_has_bounds() -> None:
    assert len(example({"type": "array", "minItems": 10**9})) == LONGEST
    assert len(example({"type": "string", "minLength": 10**9})) == LONGEST
    assert example({"type": "object", "required": [None, ["x"], "y"]}) == {"y": "sandbox"}


def test_an_object_has_what_is_required() -> None:
    properties = {"path": {"type": "string"}, "limit": {"type": "integer"}}
    schema = {"type": "object", "properties": properties, "required": ["path"]}
    assert example(schema) == {"path": "sandbox"}


def test_an_object_that_requires_nothing_has_everything() -> None:
    assert example({"properties": {"limit": {"type": "integer"}}}) == {"limit": 1}


def test_a_schema_that_refers_to_itself_comes_to_an_end() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    value, depth = example(node), 0
    while value is not None:
        value, depth = value["next"], depth + 1
    assert depth < 10
