from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from neurolink_mitm.core.openai.claude import ClaudeTraits
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.tools import Choice, Tools

ANY = {"type": "object", "properties": {}}
ONE = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def function(
    schema: Any = None,
    name: Any = "f",
    description: Any = None,
    strict: bool = False,
    traits: Any = None,
) -> Any:
    tools = Tools(traits or ClaudeTraits())
    tools.function(raw(name), raw(description), raw(schema), strict=strict, at="tools[0].function")
    (tool,) = tools.written(Choice())
    return json.loads(tool)


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        (None, ANY),
        ({}, {"type": "object"}),
        (ONE, ONE),
        ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
        ({"properties": {}, "type": "object"}, {"properties": {}, "type": "object"}),
        ({"type": None, "properties": {}}, ANY),
        ({"type": ["object", "null"], "properties": {}}, ANY),
        (
            {"type": "object", "description": "A", "anyOf": [{"required": ["a"]}]},
            {
                "type": "object",
                "description": 'A\n\nIt also follows this JSON Schema: {"anyOf":[{"required":["a"]}]}',
            },
        ),
        (
            {"type": "object", "properties": {"a": {"anyOf": [{}]}}},
            {"type": "object", "properties": {"a": {"anyOf": [{}]}}},
        ),
    ],
    ids=str,
)
def test_the_schema_is_that_of_an_object(schema: Any, made: Any) -> None:
    assert function(schema)["input_schema"] == made


def test_a_good_schema_goes_on_byte_by_byte() -> None:
    tools = Tools(ClaudeTraits())
    schema = b'{ "type" : "object", "properties": {"z": {}, "a": {"x": 1.0}} }'
    tools.function(raw("f"), raw("d"), msgspec.Raw(schema), strict=False, at="at")
    assert tools.written(Choice()) == [b'{"name":"f","description":"d","input_schema":%b}' % schema]


def test_strict_where_the_model_and_the_schema_allow_it() -> None:
    tool = function(ONE, strict=True)
    assert tool["strict"] is True
    assert tool["input_schema"]["additionalProperties"] is False
    assert "strict" not in function(ONE, strict=True, traits=ClaudeTraits(strict_tools=False))
    assert "strict" not in function({"type": "object"}, strict=True)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"schema": 5}, "parameters"),
        ({"schema": []}, "parameters"),
        ({"schema": True}, "parameters"),
        ({"name": "a.b"}, "name"),
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"description": 5}, "description"),
    ],
    ids=str,
)
def test_a_field_of_another_type_is_named(changes: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as raised:
        function(**changes)
    assert raised.value.param == f"tools[0].function.{param}"


def test_tools_of_one_name_are_one_if_they_are_alike() -> None:
    tools = Tools(ClaudeTraits())
    for _ in range(2):
        tools.function(raw("f"), raw(None), raw(ONE), strict=False, at="at")
    assert len(tools.written(Choice())) == 1
    with pytest.raises(RequestError, match="two tools have the name"):
        tools.function(raw("f"), raw("d"), raw(ONE), strict=False, at="at")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (None, None),
        ({"type": "text"}, None),
        (
            {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A"}},
            "The input follows this grammar (lark):\nstart: A",
        ),
        (
            {"type": "grammar", "syntax": "regex", "definition": "a+"},
            "The input follows this grammar (regex):\na+",
        ),
    ],
)
def test_a_custom_tool_takes_a_text(wanted: Any, words: str | None) -> None:
    tools = Tools(ClaudeTraits())
    tools.custom(raw("patch"), raw(None), raw(wanted), at="at")
    (tool,) = tools.written(Choice())
    assert json.loads(tool)["input_schema"]["required"] == ["input"]
    assert json.loads(tool).get("description") == words
    assert tools.customs == {"patch"}


def test_only_allowed_tools_are_written() -> None:
    tools = Tools(ClaudeTraits())
    for name in ("f", "g"):
        tools.function(raw(name), raw(None), raw(None), strict=False, at="at")
    assert [json.loads(each)["name"] for each in tools.written(Choice(only={b'"g"'}))] == ["g"]
    assert b'"f"' in tools
    assert b'"h"' not in tools
