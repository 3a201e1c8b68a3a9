from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.providers.adapt.blocks import ERROR_MARK
from neurolink_mitm.core.providers.signatures import sign
from tests.core.providers.adapt.requests import (
    IMAGE,
    LINKED,
    PDF,
    USE,
    USER,
    Json,
    adapted,
    block_of,
    result_of,
)

BLOCKS: dict[str, tuple[Json, list[Json]]] = {
    "text": ({"type": "text", "text": "a", "cache_control": {}}, [{"type": "text", "text": "a"}]),
    "empty text": ({"type": "text", "text": ""}, []),
    "blank text": ({"type": "text", "text": "\n\n"}, []),
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
        [{"type": "text", "text": '[web_search: {"query":"q"}]'}],
    ),
    "a tool that was found": (
        {"type": "tool_reference", "tool_name": "ls"},
        [{"type": "text", "text": "[the tool ls can be used]"}],
    ),
    "tomorrow's": ({"type": "hologram"}, [{"type": "text", "text": "[hologram]"}]),
    "cited": (
        {"type": "text", "text": "So it is.", "citations": [
            {"type": "web_search_result_location", "url": "u", "title": "T", "encrypted_index": "x"},
            {"type": "page_location", "document_title": "D", "cited_text": "so"},
            {"type": "page_location", "document_title": "D", "cited_text": "is"},
            {"type": "char_location", "document_title": None}]},
        [{"type": "text", "text": "So it is. [from T u; D]"}],
    ),
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


def test_an_image_for_a_model_that_sees_none_is_a_word() -> None:
    unseen = {"type": "text", "text": "[an image, which this model can't see]"}
    assert block_of(LINKED, images=False) == [unseen]


def test_what_the_system_says_between_turns_is_the_users() -> None:
    turns = adapted(USER, {"role": "system", "content": "note"})["messages"]
    assert turns == [{"role": "user", "content": [
        {"type": "text", "text": "hi"}, {"type": "text", "text": "note"}]}]  # fmt: skip


def test_a_turn_of_nothing_but_thinking_is_left_out_and_its_neighbours_are_one() -> None:
    thinking = {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}]}
    assert len(adapted(USER, thinking, USER)["messages"]) == 1


def test_thinking_goes_back_to_its_author_alone() -> None:
    own = {"type": "thinking", "thinking": "hm", "signature": sign("there", "x")}
    assert block_of(own, own_thinking="there") == [own]
    assert block_of(own, own_thinking="elsewhere") == []
    assert block_of(own) == []
    assert block_of({**own, "signature": "x"}, own_thinking="there") == []
