from __future__ import annotations

import json
from typing import Any

import pytest

from neurolink_mitm.core.openai.structured import Narrowing

TEXT = {"type": "string"}


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def narrowed_by(narrowing: Narrowing, schema: Any) -> Any:
    return narrowing.of(json.dumps(schema).encode())


def required(**properties: Any) -> dict[str, Any]:
    return {**closed(**properties), "required": list(properties)}


def open_(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "narrowed"),
    [
        (open_(a=TEXT), closed(a=TEXT)),
        ({**open_(a=TEXT), "additionalProperties": True, "$schema": "x"}, closed(a=TEXT)),
        (required(a=TEXT), required(a=TEXT)),
        (
            required(a={"type": "integer", "minimum": 1, "description": "Count"}),
            required(a={"type": "integer", "description": 'Count\n\n{"minimum":1}'}),
        ),
        (
            required(a={"type": "array", "items": open_(b=TEXT), "minItems": 2}),
            required(
                a={"type": "array", "items": closed(b=TEXT), "description": '{"minItems":2}'}
            ),
        ),
        (
            required(a={"type": "string", "format": "date"}, b={"type": "string", "format": "x"}),
            required(a={"type": "string", "format": "date"}, b={"type": "string", "description": '{"format":"x"}'}),
        ),
        (
            required(a={"oneOf": [TEXT, {"type": "null"}]}, b={"enum": ["x"]}),
            required(a={"anyOf": [TEXT, {"type": "null"}]}, b={"enum": ["x"]}),
        ),
        (
            {**required(a={"$ref": "#/$defs/b"}), "$defs": {"b": open_(c=TEXT)}},
            {**required(a={"$ref": "#/$defs/b"}), "$defs": {"b": closed(c=TEXT)}},
        ),
        ({**closed(), "additionalProperties": False}, closed()),
    ],
    ids=str,
)  # fmt: skip
def test_objects_are_closed_and_bounds_are_told(schema: Any, narrowed: Any) -> None:
    assert narrowed_by(Narrowing(), schema) == narrowed


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = TEXT
    for _ in range(levels):
        schema = required(a=schema)
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        None,
        True,
        {},
        "x",
        {"type": "object"},
        {"type": "object", "additionalProperties": TEXT},
        open_(a={}),
        open_(a=True),
        open_(a=5),
        {"type": "object", "properties": [TEXT]},
        {"type": "array"},
        {"type": "array", "items": {}},
        {**required(a=TEXT), "required": "a"},
        required(a={"anyOf": []}),
        {**required(a={"$ref": "#/$defs/b"}), "$defs": {"b": required(c={"$ref": "#/$defs/b"})}},
        {**required(a={"$ref": "#/$defs/b"}), "$defs": {}},
        required(a={"$ref": "https://x.example/schema"}),
        open_(**{f"p{number}": TEXT for number in range(25)}),
        required(**{f"p{number}": {"type": ["string", "null"]} for number in range(17)}),
        deep(50),
        pytest.param(deep(400), id="very deep"),  # what Python 3.11 can write
        required(a={**TEXT, "enum": ["x" * 70_000]}),
    ],
    ids=lambda schema: str(schema)[:60],
)
def test_what_can_not_be_told_is_not_narrowed(schema: Any) -> None:
    narrowing = Narrowing()
    assert narrowed_by(narrowing, schema) is None
    assert (narrowing.optional, narrowing.unions) == (0, 0)


def test_the_schemas_of_a_request_share_its_bounds() -> None:
    narrowing = Narrowing()
    schema = open_(**{f"p{number}": TEXT for number in range(20)})
    assert narrowed_by(narrowing, schema) is not None
    assert narrowed_by(narrowing, schema) is None
    assert narrowed_by(narrowing, required(a=TEXT)) is not None
