from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from neurolink_mitm.core.providers.adapt import adapt
from neurolink_mitm.core.providers.adapt.choice import ANY, NONE, ONE
from tests.core.providers.adapt.requests import TOOL, TRAITS, USE, USER, Json

CAT = {**TOOL, "name": "cat"}
ANY_CHOICE, NAMED = {"type": "any"}, {"type": "tool", "name": "ls"}
CASES: dict[str, tuple[Json, Any, set[str], tuple[int, Any, str | None]]] = {
    # traits, choice, kinds that have a field; number of tools, choice, words
    "auto": ({}, {"type": "auto"}, set(), (2, None, None)),
    "none given": ({}, None, set(), (2, None, None)),
    "any": ({}, ANY_CHOICE, {"any"}, (2, ANY_CHOICE, None)),
    "any, in words": ({}, ANY_CHOICE, set(), (2, None, ANY)),
    "a tool": ({}, NAMED, {"tool"}, (2, NAMED, None)),
    "a tool, as the only one": ({}, NAMED, {"any"}, (1, ANY_CHOICE, None)),
    "a tool, in words": ({}, NAMED, set(), (2, None, "Call the tool ls now.")),
    "a tool that is not there": ({}, {"type": "tool", "name": "x"}, {"tool"}, (2, None, None)),
    "none": ({}, {"type": "none"}, {"none"}, (2, {"type": "none"}, None)),
    "none, without tools": ({}, {"type": "none"}, set(), (0, None, None)),
    "none, with tools for the calls": ({"tools_with_calls": True}, {"type": "none"}, set(), (2, None, NONE)),
    "one": ({"one_call": True}, {"type": "auto", "disable_parallel_tool_use": True}, set(),
            (2, {"type": "auto", "disable_parallel_tool_use": True}, None)),
    "one, in words": ({}, {"type": "auto", "disable_parallel_tool_use": True}, set(), (2, None, ONE)),
    "as many": ({"one_call": True}, {"type": "auto", "disable_parallel_tool_use": False}, set(), (2, None, None)),
}  # fmt: skip


@pytest.mark.parametrize(("traits", "choice", "kinds", "left"), CASES.values(), ids=CASES)
def test_a_choice(traits: Json, choice: Any, kinds: set[str], left: Any) -> None:
    turns = [USER, {"role": "assistant", "content": [USE]}]
    request = {"messages": turns, "tools": [TOOL, CAT], "tool_choice": choice}
    made = adapt(request, replace(TRAITS, choices=frozenset(kinds), **traits)).request
    found = (len(made.get("tools", ())), made.get("tool_choice"), made.get("system"))
    assert found == left


def test_a_name_that_was_changed_is_said_as_the_provider_knows_it() -> None:
    name = "x" * 70
    request = {"messages": [USER], "tools": [{**TOOL, "name": name}],
               "tool_choice": {"type": "tool", "name": name}}  # fmt: skip
    made = adapt(request, replace(TRAITS, choices=frozenset())).request
    assert made["system"] == f"Call the tool {made['tools'][0]['name']} now."


@pytest.mark.parametrize("wants", [True, False])
def test_tools_are_declared_for_calls_of_the_history_where_a_provider_insists(wants: bool) -> None:
    turns = [USER, {"role": "assistant", "content": [USE, {**USE, "id": "t2"}]}]
    made = adapt({"messages": turns}, replace(TRAITS, tools_with_calls=wants)).request
    assert [tool["name"] for tool in made.get("tools", ())] == ["ls"] * wants


def test_no_tool_is_declared_for_nothing() -> None:
    assert (
        "tools" not in adapt({"messages": [USER]}, replace(TRAITS, tools_with_calls=True)).request
    )
