from __future__ import annotations

import pytest

from neurolink_mitm.core.providers.answer import counts, stop_reason, tool_use


@pytest.mark.parametrize(
    ("told", "tools", "reason"),
    [("end_turn", 0, "end_turn"), ("end_turn", 1, "tool_use"), ("tool_use", 0, "end_turn"),
     ("max_tokens", 1, "max_tokens"), ("refusal", 0, "refusal"), ("stop", 0, "end_turn"),
     (None, 0, "end_turn"), ({}, 0, "end_turn")],
)  # fmt: skip
def test_the_reason_fits_what_was_said(told: object, tools: int, reason: str) -> None:
    assert stop_reason(told, tools=tools) == reason


@pytest.mark.parametrize("usage", [None, [], {"input_tokens": None}, {"input_tokens": -1},
                                   {"input_tokens": True}, {"other": 1}])  # fmt: skip
def test_numbers_that_are_none_are_not_counted(usage: object) -> None:
    assert counts(usage) == {}


def test_an_input_is_an_object() -> None:
    assert tool_use({"id": "t", "name": "n", "input": None}, "") == {
        "type": "tool_use", "id": "t", "name": "n", "input": {},
    }  # fmt: skip
    assert tool_use({"id": "t", "name": "n", "input": [1]}, "") is None
    assert tool_use({"id": "t"}, "") is None
