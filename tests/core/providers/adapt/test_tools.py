from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

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


CAT = {**TOOL, "name": "cat"}
NAMES = {
    "as it is": ("mcp__a-b__C9", False, "mcp__a-b__C9"),
    "a dot": ("a.b", False, "a_b_"),
    "a space": ("list files", False, "list_files_"),
    "another script": ("größe", False, "gr__e_"),
    "a digit first": ("3d", False, "3d"),
    "a digit first, where letters must be": ("3d", True, "t_3d_"),
    "a hyphen first, where letters must be": ("-x", True, "t_-x_"),
    "an underscore first": ("_x", False, "_x"),
    "that, where letters must be": ("_x", True, "t__x_"),
}


@pytest.mark.parametrize(("name", "letters", "begins"), NAMES.values(), ids=NAMES)
def test_a_name_is_one_that_the_provider_takes(name: str, letters: bool, begins: str) -> None:
    traits = replace(TRAITS, names_begin_with_letters=letters)
    made = adapt({"messages": [USER], "tools": [{**TOOL, "name": name}]}, traits)
    new = made.request["tools"][0]["name"]
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", new)
    assert new.startswith(begins)
    assert made.tool_names == ({} if new == name else {new: name})


def test_names_that_would_become_one_stay_apart() -> None:
    tools = [{**TOOL, "name": name} for name in ("a.b", "a b", "a_b")]
    made = adapt({"messages": [USER], "tools": tools}, TRAITS)
    assert sorted(made.tool_names.values()) == ["a b", "a.b"]
    assert len({tool["name"] for tool in made.request["tools"]}) == 3


def test_a_tool_that_comes_twice_is_sent_once() -> None:
    assert len(adapted(tools=[TOOL, TOOL])["tools"]) == 1


@pytest.mark.parametrize("description", ["", " ", None, 1])
def test_a_description_that_says_nothing_is_left_out(description: Any) -> None:
    (tool,) = adapted(tools=[{**TOOL, "description": description}])["tools"]
    assert "description" not in tool


def test_a_long_description_is_told_in_the_system_prompt_where_it_is_too_long() -> None:
    long = "d" * 50 + "e" * 50
    request = {"messages": [USER], "system": "S", "tools": [{**TOOL, "description": long}, CAT]}
    made = adapt(request, replace(TRAITS, longest_description=60)).request
    first, second = made["tools"]
    assert len(first["description"]) == 60
    assert first["description"].startswith("ddd")
    assert second == CAT
    assert made["system"] == f"S\n\n# The tool ls\n{long}"
    assert adapt(request, TRAITS).request["tools"][0]["description"] == long


def test_gemini_gets_no_schema_without_properties() -> None:
    made = adapt({"messages": [USER], "tools": [TOOL]}, replace(TRAITS, schema="gemini")).request
    assert "input_schema" not in made["tools"][0]


MANY = [{**TOOL, "name": f"t{number}"} for number in range(10)]
FOUND: Json = {"type": "tool_result", "tool_use_id": "t1", "content": [
    {"type": "tool_reference", "tool_name": "t8"}]}  # fmt: skip
HISTORIES: dict[str, tuple[Json, str]] = {
    "the last go first": ({"messages": [USER]}, "t0 t1 t2 t3"),
    "not those that were called": (
        {"messages": [USER, {"role": "assistant", "content": [{**USE, "name": "t9"}]}]},
        "t0 t1 t2 t9",
    ),
    "not those that were found": (
        {"messages": [USER, {"role": "assistant", "content": [USE]}, {"role": "user", "content": [FOUND]}]},
        "t0 t1 t2 t8",
    ),
    "not the one that must be called": (
        {"messages": [USER], "tool_choice": {"type": "tool", "name": "t7"}},
        "t0 t1 t2 t7",
    ),
    "those too if there are more": (
        {"messages": [USER, {"role": "assistant", "content": [
            {**USE, "id": f"c{number}", "name": f"t{number}"} for number in range(2, 9)]}]},
        "t2 t3 t4 t5",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("request_", "left"), HISTORIES.values(), ids=HISTORIES)
def test_too_many_tools(request_: Json, left: str) -> None:
    made = adapt({**request_, "tools": MANY}, replace(TRAITS, most_tools=4))
    assert " ".join(tool["name"] for tool in made.request["tools"]) == left
    (note,) = made.notes
    assert note.startswith("10 tools are more than the 4 that this model takes; left out: t")
    assert note.endswith("… (6)")


def test_as_many_as_are_taken_are_no_matter() -> None:
    made = adapt({"messages": [USER], "tools": MANY}, replace(TRAITS, most_tools=10))
    assert (len(made.request["tools"]), made.notes) == (10, ())
