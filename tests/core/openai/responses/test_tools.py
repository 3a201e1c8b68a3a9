from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from neurolink_mitm.core.openai.claude import ClaudeTraits
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.responses.client_tools import ClientTool
from neurolink_mitm.core.openai.responses.tools import ResponseTools
from neurolink_mitm.core.openai.tools import Choice, Tools

EMPTY = {"type": "object", "properties": {}}
HOSTED = (
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
    "file_search",
    "computer",
    "computer_use_preview",
    "code_interpreter",
    "image_generation",
    "mcp",
    "shell",
    "apply_patch",
    "programmatic_tool_calling",
)


def function(name: str = "f", **more: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, "parameters": EMPTY, "strict": False, **more}


def collected(*tools: Any) -> ResponseTools:
    made = ResponseTools(Tools(ClaudeTraits()))
    made.add(msgspec.Raw(json.dumps(list(tools)).encode()), "tools")
    return made


def written(made: ResponseTools) -> list[Any]:
    return [json.loads(tool) for tool in made.tools.written(Choice())]


def test_a_function_is_a_tool() -> None:
    made = collected(
        function(description="does"),
        function("g", parameters=None, description=None, strict=None),
        {"type": "function", "name": "h"},
    )
    assert written(made) == [
        {"name": "f", "description": "does", "input_schema": EMPTY},
        {"name": "g", "input_schema": EMPTY},
        {"name": "h", "input_schema": EMPTY},
    ]
    assert made.names.clients() == {}


def test_a_function_may_come_in_the_form_of_chat() -> None:
    made = collected({"type": "function", "function": {"name": "f", "description": "does"}})
    assert written(made) == [{"name": "f", "description": "does", "input_schema": EMPTY}]
    with pytest.raises(RequestError) as e:
        collected({"type": "function", "function": {"name": 5}})
    assert e.value.param == "tools[0].function.name"


def test_a_strict_function_is_a_strict_tool() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}
    [tool] = written(collected(function(parameters=schema, strict=True)))
    assert tool["strict"] is True
    assert tool["input_schema"]["additionalProperties"] is False


def test_a_custom_tool_takes_text_and_its_grammar_is_described() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": 'start: "*** Begin"'}
    made = collected(
        {"type": "custom", "name": "apply_patch", "description": "Edits.", "format": grammar},
        {"type": "custom", "name": "say"},
    )
    patch, say = written(made)
    assert patch["description"].startswith("Edits.")
    assert grammar["definition"] in patch["description"]
    assert "lark" in patch["description"]
    assert list(patch["input_schema"]["properties"]) == list(say["input_schema"]["properties"])
    assert made.names.clients() == {
        "apply_patch": ClientTool("apply_patch", kind="custom"),
        "say": ClientTool("say", kind="custom"),
    }


def test_what_is_said_of_a_namespace_stands_before_its_first_tool() -> None:
    tools = [function("f", description="does"), function("g", description="does more")]
    space = {"type": "namespace", "name": "n", "description": "All.", "tools": tools}
    words = [tool["description"] for tool in written(collected(space))]
    assert words == ["All.\n\ndoes", "does more"]


def test_the_local_shell_and_the_search_of_tools_are_tools() -> None:
    search = {
        "type": "tool_search",
        "execution": "client",
        "description": "Finds.",
        "parameters": EMPTY,
    }
    made = collected({"type": "local_shell"}, search)
    shell, find = written(made)
    assert shell["name"] == "local_shell"
    assert shell["input_schema"]["required"] == ["command"]
    assert find == {"name": "tool_search", "description": "Finds.", "input_schema": EMPTY}
    assert {name: tool.kind for name, tool in made.names.clients().items()} == {
        "local_shell": "local_shell",
        "tool_search": "tool_search",
    }


def test_what_runs_on_openais_servers_is_left_out() -> None:
    made = collected(*({"type": kind} for kind in HOSTED), {"type": "tool_search"}, function())
    assert [tool["name"] for tool in written(made)] == ["f"]
    assert list(made.left_out) == list(HOSTED)


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        pytest.param(5, "tools[1]", id="a number"),
        pytest.param({}, "tools[1].type", id="no type"),
        pytest.param({"type": "banana"}, "tools[1].type", id="unknown type"),
        pytest.param({"type": "function"}, "tools[1].name", id="no name"),
        pytest.param(function(5), "tools[1].name", id="name is a number"),  # type: ignore[arg-type]
        pytest.param(function(""), "tools[1].name", id="empty name"),
        pytest.param(function("a b"), "tools[1].name", id="odd name"),
        pytest.param(function("g", description=5), "tools[1].description", id="description"),
        pytest.param(function("g", parameters=5), "tools[1].parameters", id="parameters"),
        pytest.param(function("g", strict="yes"), "tools[1].strict", id="strict"),
        pytest.param(function(description="another"), "tools[1].name", id="the name of another"),
        pytest.param({"type": "custom", "name": "c", "format": 5}, "tools[1].format", id="format"),
        pytest.param(
            {"type": "namespace", "name": 5, "tools": []}, "tools[1].name", id="namespace"
        ),
        pytest.param(
            {"type": "namespace", "name": "n", "tools": 5}, "tools[1].tools", id="its tools"
        ),
        pytest.param(
            {
                "type": "namespace",
                "name": "n",
                "tools": [{"type": "namespace", "name": "m", "tools": []}],
            },
            "tools[1].tools[0].type",
            id="a namespace in one",
        ),
        pytest.param({"type": "tool_search", "execution": 5}, "tools[1].execution", id="execution"),
    ],
)
def test_a_tool_that_is_wrong_is_named(tool: Any, param: str) -> None:
    with pytest.raises(RequestError) as e:
        collected(function(), tool)
    assert (e.value.status, e.value.param) == (400, param)


def test_tools_are_a_list() -> None:
    with pytest.raises(RequestError) as e:
        ResponseTools(Tools(ClaudeTraits())).add(msgspec.Raw(b"5"), "tools")
    assert e.value.param == "tools"
