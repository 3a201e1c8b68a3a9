from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.responses.tool_choice import read_choice
from neurolink_mitm.core.openai.responses.tools import ResponseTools
from neurolink_mitm.core.openai.tools import Choice
from tests.core.openai.responses.test_tools import collected, function


def chosen(tools: ResponseTools, choice: Any) -> Choice:
    return read_choice(tools, msgspec.Raw(json.dumps(choice).encode()))


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
        pytest.param(
            {"type": "function", "function": {"name": "g"}}, "tool", b'"g"', None, id="as in chat"
        ),
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
