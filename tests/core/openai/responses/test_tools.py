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


def chosen(tools: ResponseTools, choice: Any) -> Choice:
    return tools.choice(msgspec.Raw(json.dumps(choice).encode()))


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
    assert made.clients() == {}


def test_a_function_may_come_in_the_form_of_chat() -> None:
    made = collected({"type": "function", "function": {"name": "f", "description": "does"}})
    assert written(made) == [{"name": "f", "description": "does", "input_schema": EMPTY}]
    assert chosen(made, {"type": "function", "function": {"name": "f"}}).name == b'"f"'
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
    assert made.clients() == {
        "apply_patch": ClientTool("apply_patch", kind="custom"),
        "say": ClientTool("say", kind="custom"),
    }


def test_the_names_of_a_namespace_are_told_apart_and_come_back() -> None:
    long = "x" * 60
    made = collected(
        function("wait"),
        {
            "type": "namespace",
            "name": "agents",
            "tools": [function("wait"), {"type": "custom", "name": "run"}],
        },
        {"type": "namespace", "name": "mcp__a.b__", "tools": [function("wait"), function(long)]},
        {"type": "namespace", "name": "functions", "tools": [function("exec")]},
    )
    names = [tool["name"] for tool in written(made)]
    assert names[:4] == ["wait", "agents__wait", "agents__run", "mcp__a_b__wait"]
    assert names[5] == "exec"
    assert len(names[4]) == 64
    assert made.clients() == {
        "agents__wait": ClientTool("wait", "agents"),
        "agents__run": ClientTool("run", "agents", "custom"),
        "mcp__a_b__wait": ClientTool("wait", "mcp__a.b__"),
        names[4]: ClientTool(long, "mcp__a.b__"),
    }


def test_what_is_said_of_a_namespace_stands_before_its_first_tool() -> None:
    tools = [function("f", description="does"), function("g", description="does more")]
    space = {"type": "namespace", "name": "n", "description": "All.", "tools": tools}
    words = [tool["description"] for tool in written(collected(space))]
    assert words == ["All.\n\ndoes", "does more"]


def test_two_tools_never_get_one_name() -> None:
    first = {"type": "namespace", "name": "a", "tools": [function("b__c")]}
    second = {"type": "namespace", "name": "a__b", "tools": [function("c")]}
    names = [tool["name"] for tool in written(collected(first, second, function("a__b__c")))]
    assert len(set(names)) == 3
    assert names[0] == "a__b__c"


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
    assert {name: tool.kind for name, tool in made.clients().items()} == {
        "local_shell": "local_shell",
        "tool_search": "tool_search",
    }


def test_what_runs_on_openais_servers_is_left_out() -> None:
    made = collected(*({"type": kind} for kind in HOSTED), {"type": "tool_search"}, function())
    assert [tool["name"] for tool in written(made)] == ["f"]
    assert list(made.left_out) == list(HOSTED)


TOOLS = (
    function(),
    function("g"),
    {"type": "custom", "name": "c"},
    {"type": "namespace", "name": "n", "tools": [function("h")]},
    {"type": "local_shell"},
    {"type": "web_search"},
)


@pytest.mark.parametrize(
    ("asked", "kind", "name", "only"),
    [
        pytest.param(None, "auto", b"", None, id="null"),
        pytest.param("auto", "auto", b"", None, id="auto"),
        pytest.param("none", "none", b"", None, id="none"),
        pytest.param("required", "any", b"", None, id="required"),
        pytest.param({"type": "auto"}, "auto", b"", None, id="Cursor's auto"),
        pytest.param({"type": "tool"}, "any", b"", None, id="Cursor's tool"),
        pytest.param({"type": "function", "name": "g"}, "tool", b'"g"', None, id="function"),
        pytest.param({"type": "custom", "name": "c"}, "tool", b'"c"', None, id="custom"),
        pytest.param(
            {"type": "function", "name": "h"}, "tool", b'"n__h"', None, id="of a namespace"
        ),
        pytest.param(
            {"type": "function", "name": "h", "namespace": "n"},
            "tool",
            b'"n__h"',
            None,
            id="with it",
        ),
        pytest.param({"type": "local_shell"}, "tool", b'"local_shell"', None, id="local shell"),
        pytest.param(
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "f"}, {"type": "web_search"}],
            },
            "auto",
            b"",
            [b'"f"'],
            id="allowed",
        ),
        pytest.param(
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "custom", "name": "c"}, {"type": "function", "name": "g"}],
            },
            "any",
            b"",
            [b'"c"', b'"g"'],
            id="one of those allowed",
        ),
        pytest.param(
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]},
            "auto",
            b"",
            [],
            id="none of those allowed",
        ),
    ],
)
def test_a_choice_is_read(asked: Any, kind: str, name: bytes, only: Any) -> None:
    choice = chosen(collected(*TOOLS), asked)
    assert (choice.kind, choice.name) == (kind, name)
    assert (choice.only if choice.only is None else sorted(choice.only)) == only


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        pytest.param(5, "tool_choice", id="a number"),
        pytest.param("banana", "tool_choice", id="unknown"),
        pytest.param({}, "tool_choice.type", id="no type"),
        pytest.param({"type": "banana"}, "tool_choice.type", id="unknown type"),
        pytest.param({"type": "function"}, "tool_choice.name", id="no name"),
        pytest.param({"type": "function", "name": 5}, "tool_choice.name", id="name is a number"),
        pytest.param({"type": "function", "name": "x"}, "tool_choice", id="no such tool"),
        pytest.param({"type": "web_search_preview"}, "tool_choice", id="hosted"),
        pytest.param({"type": "mcp", "server_label": "s"}, "tool_choice", id="MCP"),
        pytest.param(
            {"type": "allowed_tools", "mode": "banana", "tools": []}, "tool_choice.mode", id="mode"
        ),
        pytest.param(
            {"type": "allowed_tools", "mode": "auto", "tools": 5}, "tool_choice.tools", id="tools"
        ),
        pytest.param({"type": "allowed_tools", "mode": "auto"}, "tool_choice.tools", id="no tools"),
        pytest.param(
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "x"}]},
            "tool_choice.tools[0]",
            id="no such allowed",
        ),
        pytest.param(
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]},
            "tool_choice.tools",
            id="none that runs here",
        ),
    ],
)
def test_a_choice_that_is_wrong_is_named(asked: Any, param: str) -> None:
    with pytest.raises(RequestError) as e:
        chosen(collected(*TOOLS), asked)
    assert (e.value.status, e.value.param) == (400, param)


@pytest.mark.parametrize("tools", [(), ({"type": "web_search"},)], ids=["none", "hosted"])
def test_a_call_can_only_be_required_where_one_can_come(tools: Any) -> None:
    with pytest.raises(RequestError) as e:
        chosen(collected(*tools), "required")
    assert e.value.param == "tool_choice"


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
