from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.providers.strictness import is_strict

TEXT = {"type": "string"}


def closed(**properties: Any) -> dict[str, Any]:
    required = list(properties)
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


STRICT: dict[str, Any] = {
    "members": closed(a=TEXT, b={"type": ["string", "null"]}),
    "nested": closed(a={"type": "array", "items": closed(b={"enum": ["x"]})}),
    "defined": {**closed(a={"$ref": "#/$defs/b"}), "$defs": {"b": closed(c=TEXT)}},
    "one of several": closed(a={"anyOf": [TEXT, closed()]}),
    "none": {"type": "object", "additionalProperties": False},
}
LOOSE: dict[str, Any] = {
    "one that may lack": {**closed(a=TEXT, b=TEXT), "required": ["a"]},
    "others allowed": {**closed(a=TEXT), "additionalProperties": True},
    "others not mentioned": {"type": "object", "properties": {"a": TEXT}, "required": ["a"]},
    "no object": {"type": "array", "items": TEXT},
    "any value": closed(a={}),
    "a boolean": closed(a=True),
    "nested": closed(a={"type": "array", "items": {"type": "object"}}),
    "an unknown keyword": closed(a={"type": "string", "default": "x"}),
    "all of several": closed(a={"allOf": [TEXT]}),
    "a list for members": {"type": "object", "properties": [], "additionalProperties": False},
    "nothing": None,
}


@pytest.mark.parametrize("schema", STRICT.values(), ids=STRICT)
def test_what_openai_holds_an_answer_to(schema: Any) -> None:
    assert is_strict(schema)


@pytest.mark.parametrize("schema", LOOSE.values(), ids=LOOSE)
def test_what_it_would_refuse(schema: Any) -> None:
    assert not is_strict(schema)


def test_depth_ends() -> None:
    schema: Any = TEXT
    for _ in range(2000):
        schema = {"type": "array", "items": schema}
    assert not is_strict(closed(a=schema))
