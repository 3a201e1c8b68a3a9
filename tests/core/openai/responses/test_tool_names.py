from __future__ import annotations

import msgspec
import pytest

from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.responses.client_tools import ClientTool
from neurolink_mitm.core.openai.responses.tool_names import ToolNames
from tests.core.openai.responses.test_tools import collected, function, written


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
    assert made.names.clients() == {
        "agents__wait": ClientTool("wait", "agents"),
        "agents__run": ClientTool("run", "agents", "custom"),
        "mcp__a_b__wait": ClientTool("wait", "mcp__a.b__"),
        names[4]: ClientTool(long, "mcp__a.b__"),
    }


def test_two_tools_never_get_one_name() -> None:
    first = {"type": "namespace", "name": "a", "tools": [function("b__c")]}
    second = {"type": "namespace", "name": "a__b", "tools": [function("c")]}
    names = [tool["name"] for tool in written(collected(first, second, function("a__b__c")))]
    assert len(set(names)) == 3
    assert names[0] == "a__b__c"


def test_a_call_that_leaves_out_the_namespace_is_of_the_only_tool_of_that_name() -> None:
    names = ToolNames()
    wait = msgspec.Raw(b'"wait"')
    assert names.declared(wait, "a", "") == b'"a__wait"'
    assert names.called(wait, None, "") == b'"a__wait"'
    assert names.declared(wait, "b", "") == b'"b__wait"'
    assert names.called(wait, "b", "") == b'"b__wait"'
    assert names.called(wait, None, "") == b'"wait"'


def test_the_name_of_a_call_is_made_one_that_anthropic_takes() -> None:
    names = ToolNames()
    assert names.called(msgspec.Raw(b'"a.b"'), None, "") == b'"a_b"'
    with pytest.raises(RequestError) as e:
        names.called(msgspec.Raw(b'""'), None, "input[0].name")
    assert e.value.param == "input[0].name"
