from __future__ import annotations

import pytest

from neurolink_mitm.core.providers.adapt import adapt
from tests.core.providers.adapt.requests import TOOL, TRAITS, USE, USER, Json, adapted

LONG = "mcp__server__" + "x" * 70


TOOLS: dict[str, tuple[Json, list[Json]]] = {
    "a client's": (
        {**TOOL, "cache_control": {}, "strict": True, "eager_input_streaming": True},
        [TOOL],
    ),
    "of type custom": ({**TOOL, "type": "custom"}, [TOOL]),
    "a server's": ({"type": "web_search_20250305", "name": "web_search"}, []),
    "without a name": ({"input_schema": {}}, []),
}


@pytest.mark.parametrize(("tool", "left"), TOOLS.values(), ids=TOOLS)
def test_a_tool(tool: Json, left: list[Json]) -> None:
    assert adapted(tools=[tool]).get("tools", []) == left


def test_without_tools_there_is_no_choice() -> None:
    request = adapted(
        tools=[{"type": "bash_20250124", "name": "bash"}], tool_choice={"type": "any"}
    )
    assert not {"tools", "tool_choice"} & set(request)


def test_long_names_are_shortened_wherever_they_stand() -> None:
    turns = [USER, {"role": "assistant", "content": [{**USE, "name": LONG}]}]
    request = {"messages": turns, "tools": [{**TOOL, "name": LONG}, TOOL],
               "tool_choice": {"type": "tool", "name": LONG}}  # fmt: skip
    made = adapt(request, TRAITS)
    short = made.request["tools"][0]["name"]
    assert len(short) <= TRAITS.longest_name
    assert made.request["tool_choice"]["name"] == short
    assert made.request["messages"][1]["content"][0]["name"] == short
    assert made.request["tools"][1]["name"] == "ls"
    assert made.tool_names == {short: LONG}


def test_names_that_begin_alike_stay_apart() -> None:
    made = adapt(
        {"messages": [USER], "tools": [{**TOOL, "name": LONG + end} for end in "ab"]}, TRAITS
    )
    assert len(made.tool_names) == 2
