from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.providers.request import (
    ERROR_MARK,
    FIELDS,
    LONGEST_NAME,
    MIN_BUDGET,
    UnsupportedError,
    adapt,
    effort,
    words_of,
)

Json = dict[str, Any]

USER: Json = {"role": "user", "content": "hi"}
IMAGE: Json = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "eA=="},
}
LINKED: Json = {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}
PDF: Json = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": "eA=="},
}
USE: Json = {"type": "tool_use", "id": "t1", "name": "ls", "input": {"a": 1}}
TOOL: Json = {"name": "ls", "description": "Lists.", "input_schema": {"type": "object"}}
LONG = "mcp__server__" + "x" * 70


def adapted(*messages: Json, tools: Any = None, **more: Any) -> Json:
    offered = {} if tools is None else {"tools": tools}
    return adapt({"messages": list(messages or (USER,)), **offered, **more}).request


def block_of(block: Json, **settings: Any) -> list[Json]:
    """What becomes of a block of the user's."""
    request = {"messages": [{"role": "user", "content": [block]}]}
    turns = adapt(request, **settings).request["messages"]
    return turns[0]["content"] if turns else []


def result_of(content: Any, **more: Any) -> Any:
    (block,) = block_of({"type": "tool_result", "tool_use_id": "t1", "content": content, **more})
    assert (block["type"], block["tool_use_id"]) == ("tool_result", "t1")
    return block["content"]


FOREIGN = ("metadata", "betas", "service_tier", "context_management", "mcp_servers", "container",
           "cache_control", "top_k", "speed", "inference_geo", "model", "a_field_of_tomorrow")  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_what_others_do_not_know_is_left_out(name: str) -> None:
    assert name not in adapted(**{name: {"x": 1}})


@pytest.mark.parametrize("name", ["max_tokens", "stop_sequences", "temperature", "top_p", "stream"])
def test_what_they_know_is_handed_on(name: str) -> None:
    assert adapted(**{name: 1})[name] == 1


BLOCKS: dict[str, tuple[Json, list[Json]]] = {
    "text": ({"type": "text", "text": "a", "cache_control": {}}, [{"type": "text", "text": "a"}]),
    "empty text": ({"type": "text", "text": ""}, []),
    "image": ({**IMAGE, "cache_control": {}}, [IMAGE]),
    "document": ({**PDF, "title": "x", "citations": {}}, [PDF]),
    "document of text": (
        {"type": "document", "title": "T", "source": {"type": "text", "data": "words"}},
        [{"type": "text", "text": "[T]\nwords"}],
    ),
    "call": ({**USE, "cache_control": {}, "caller": {}}, [USE]),
    "thinking": ({"type": "thinking", "thinking": "hm", "signature": "x"}, []),
    "redacted thinking": ({"type": "redacted_thinking", "data": "x"}, []),
    "a server's call": (
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        [{"type": "text", "text": "[web_search: {'query': 'q'}]"}],
    ),
    "what it found": (
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [
            {"type": "web_search_result", "title": "T", "url": "u", "encrypted_content": "x"}]},
        [{"type": "text", "text": "[found]\nT: u"}],
    ),
    "what failed": (
        {"type": "web_search_tool_result", "content": {"error_code": "unavailable"}},
        [{"type": "text", "text": "[found]"}],
    ),
    "a tool that was found": (
        {"type": "tool_reference", "tool_name": "ls"},
        [{"type": "text", "text": "[the tool ls can be used]"}],
    ),
    "tomorrow's": ({"type": "hologram"}, []),
}  # fmt: skip


@pytest.mark.parametrize(("block", "left"), BLOCKS.values(), ids=BLOCKS)
def test_a_block_becomes_what_others_know(block: Json, left: list[Json]) -> None:
    assert block_of(block) == left


RESULTS: dict[str, tuple[Any, Json, Any]] = {
    "text": ("a", {}, "a"),
    "texts": ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], {}, "a\nb"),
    "nothing": (None, {}, ""),
    "an image": ([{"type": "text", "text": "a"}, IMAGE], {}, [{"type": "text", "text": "a"}, IMAGE]),
    "an error": ("a", {"is_error": True}, f"{ERROR_MARK} a"),
    "an error without a word": (None, {"is_error": True}, ERROR_MARK),
    "an error with an image": ([IMAGE], {"is_error": True},
                               [{"type": "text", "text": ERROR_MARK}, IMAGE]),
    "no error": ("a", {"is_error": False}, "a"),
    "a tool": ([{"type": "tool_reference", "tool_name": "ls"}], {}, "[the tool ls can be used]"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "more", "left"), RESULTS.values(), ids=RESULTS)
def test_a_result(content: Any, more: Json, left: Any) -> None:
    assert result_of(content, **more) == left


@pytest.mark.parametrize(
    "content", [PDF, {"type": "tool_result", "tool_use_id": "t", "content": [PDF]}]
)
def test_a_pdf_is_refused_where_nobody_could_read_it(content: Json) -> None:
    with pytest.raises(UnsupportedError, match="takes no documents"):
        block_of(content, documents=False)


def test_an_image_by_its_address_is_named_where_it_would_have_to_be_fetched() -> None:
    assert block_of(LINKED) == [LINKED]
    assert block_of(LINKED, links=False) == [
        {"type": "text", "text": "[image: https://x.test/a.png]"}
    ]


@pytest.mark.parametrize(
    ("system", "left"),
    [("a", "a"), ([{"type": "text", "text": "a", "cache_control": {}}, {"type": "text", "text": "b"}], "a\n\nb")],
    ids=["text", "blocks"],
)  # fmt: skip
def test_the_system_is_one_text(system: Any, left: str) -> None:
    assert adapted(system=system)["system"] == left


def test_what_the_system_says_between_turns_is_the_users() -> None:
    turns = adapted(USER, {"role": "system", "content": "note"})["messages"]
    assert turns == [{"role": "user", "content": [
        {"type": "text", "text": "hi"}, {"type": "text", "text": "note"}]}]  # fmt: skip


def test_a_turn_of_nothing_but_thinking_is_left_out_and_its_neighbours_are_one() -> None:
    thinking = {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}]}
    assert len(adapted(USER, thinking, USER)["messages"]) == 1


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
    made = adapt(request)
    short = made.request["tools"][0]["name"]
    assert len(short) <= LONGEST_NAME
    assert made.request["tool_choice"]["name"] == short
    assert made.request["messages"][1]["content"][0]["name"] == short
    assert made.request["tools"][1]["name"] == "ls"
    assert made.tool_names == {short: LONG}


def test_names_that_begin_alike_stay_apart() -> None:
    made = adapt({"messages": [USER], "tools": [{**TOOL, "name": LONG + end} for end in "ab"]})
    assert len(made.tool_names) == 2


ENABLED: Json = {"type": "enabled", "budget_tokens": 4000}
THINKING: dict[str, tuple[Json, bool, Json]] = {
    "a budget": ({"thinking": ENABLED}, False, {"thinking": ENABLED}),
    "a budget as effort": ({"thinking": ENABLED}, True,
                           {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}),
    "effort that is named": ({"thinking": ENABLED, "output_config": {"effort": "low"}}, True,
                             {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
    "adaptive": ({"thinking": {"type": "adaptive"}}, True, {"thinking": {"type": "adaptive"}}),
    "disabled": ({"thinking": {"type": "disabled"}}, True, {}),
    "a form": ({"output_config": {"format": {"type": "json_schema"}, "x": 1}}, False,
               {"output_config": {"format": {"type": "json_schema"}}}),
    "nonsense": ({"thinking": "much", "output_config": []}, True, {"thinking": "much"}),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "by_effort", "left"), THINKING.values(), ids=THINKING)
def test_thinking(asked: Json, by_effort: bool, left: Json) -> None:
    request = adapt({"messages": [USER], **asked}, thinking_as_effort=by_effort).request
    assert {
        name: request[name] for name in ("thinking", "output_config") if name in request
    } == left


@pytest.mark.parametrize(
    ("budget", "expected"),
    [(1024, "low"), (2048, "low"), (2049, "medium"), (8192, "medium"), (8193, "high"), (None, "high")],
)  # fmt: skip
def test_effort_follows_the_budget(budget: int | None, expected: str) -> None:
    assert effort(budget) == expected


@pytest.mark.parametrize(
    ("asked", "budget", "limit", "left"),
    [(64000, None, 16384, (16384, None)), (100, None, 16384, (100, None)), (64000, None, None, (64000, None)),
     (64000, 32000, 16384, (16384, 8192)), (64000, 4000, 16384, (16384, 4000)),
     (64000, 32000, MIN_BUDGET, (MIN_BUDGET, None)), (1500, 1500, None, (1500, MIN_BUDGET))],
)  # fmt: skip
def test_no_more_tokens_are_asked_for_than_the_model_has(
    asked: int, budget: int | None, limit: int | None, left: tuple[int, int | None]
) -> None:
    thinking = {"thinking": {"type": "enabled", "budget_tokens": budget}} if budget else {}
    request = {"messages": [USER], "max_tokens": asked, **thinking}
    made = adapt(request, output_limit=limit).request
    assert (made["max_tokens"], made.get("thinking", {}).get("budget_tokens")) == left


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "text", "content", "role", "name", "source", "tools", "system", "id"]),
        inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None)  # other work on this machine is no fault
@given(st.dictionaries(st.sampled_from([*FIELDS, "output_config"]), JSON))
def test_a_request_of_any_form_is_adapted_or_refused_and_left_as_it_was(request: Json) -> None:
    before = copy.deepcopy(request)
    with suppress(UnsupportedError):
        adapt(request)
    assert request == before


@pytest.mark.parametrize("messages", [[None], ["hi"], [{"role": "user", "content": [{}, 1]}]])
def test_what_is_no_conversation_is_refused(messages: Any) -> None:
    with pytest.raises(UnsupportedError, match="has not the form"):
        adapt({"messages": messages})


def test_words_are_counted_and_pictures_are_not() -> None:
    request = {
        "system": "sys",
        "tools": [TOOL],
        "messages": [{"role": "user", "content": [IMAGE]}],
        "model": "m",
    }
    words = words_of(request)
    assert "sys" in words
    assert "Lists." in words
    assert "eA==" not in words
