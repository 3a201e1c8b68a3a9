from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from neurolink_mitm.core.providers.adapt import adapt
from tests.core.providers.adapt.requests import TOOL, TRAITS, USER, Json

BOTH = {"temperature": 0.5, "top_p": 0.9, "top_k": 5}
SAMPLING: dict[str, tuple[Json, Json, Json]] = {
    "all": ({"top_k": True}, BOTH, BOTH),
    "no top_k": ({}, BOTH, {"temperature": 0.5, "top_p": 0.9}),
    "nothing": ({"sampling": False, "top_k": True}, BOTH, {}),
    "one of two": ({"temperature_or_top_p": True}, BOTH, {"temperature": 0.5}),
    "the other": ({"temperature_or_top_p": True}, {"top_p": 0.9}, {"top_p": 0.9}),
    "not too cold": ({"least_temperature": 0.01}, {"temperature": 0}, {"temperature": 0.01}),
    "cold": ({}, {"temperature": 0}, {"temperature": 0}),
}


@pytest.mark.parametrize(("traits", "asked", "left"), SAMPLING.values(), ids=SAMPLING)
def test_sampling(traits: Json, asked: Json, left: Json) -> None:
    made = adapt({"messages": [USER], **asked}, replace(TRAITS, **traits)).request
    assert {name: made[name] for name in BOTH if name in made} == left


@pytest.mark.parametrize(
    ("asked", "most", "left"),
    [(["a", "b"], None, ["a", "b"]), (["a", "b"], 1, ["a"]), ([" ", "\n", "a", "a"], 4, ["a"]),
     (["", " "], 4, None), ([], 4, None)],
)  # fmt: skip
def test_stop_sequences(asked: list[str], most: int | None, left: list[str] | None) -> None:
    request = {"messages": [USER], "stop_sequences": asked}
    assert adapt(request, replace(TRAITS, most_stops=most)).request.get("stop_sequences") == left


SCHEMA = {"type": "object", "properties": {"a": {}}}
FORM = {"type": "json_schema", "schema": SCHEMA}
FIELD = {"output_config": {"format": FORM}}
WORDS = '{"type": "object", "properties": {"a": {}}}'
FORMS: dict[str, tuple[Json, Json, Json, str | None]] = {
    "as a field": ({"formats": "schema"}, FIELD, FIELD, None),
    "the older field": ({"formats": "schema"}, {"output_format": FORM}, FIELD, None),
    "both": ({"formats": "schema"}, {**FIELD, "output_format": {**FORM, "schema": {}}}, FIELD, None),
    "with an effort": ({"formats": "schema"}, {"output_config": {"effort": "low", "format": FORM}},
                       {"output_config": {"effort": "low", "format": FORM}}, None),
    "in words": ({}, FIELD, {},
                 f"Answer with nothing but JSON that this JSON Schema describes, no code fence: {WORDS}"),
    "beside tools": ({"formats": "schema", "format_with_tools": True}, {**FIELD, "tools": [TOOL]}, FIELD, None),
    "not beside tools": ({"formats": "schema"}, {**FIELD, "tools": [TOOL]}, {},
                         "When you call no tool, answer with nothing but JSON that this JSON Schema describes,"
                         f" no code fence: {WORDS}"),
}  # fmt: skip


@pytest.mark.parametrize(("traits", "asked", "left", "words"), FORMS.values(), ids=FORMS)
def test_the_form_of_the_answer(traits: Json, asked: Json, left: Json, words: Any) -> None:
    made = adapt({"messages": [USER], **asked}, replace(TRAITS, **traits)).request
    assert {name: made[name] for name in ("output_config", "output_format") if name in made} == left
    assert made.get("system") == words


def test_words_follow_the_system_prompt() -> None:
    made = adapt({"messages": [USER], "system": "S", **FIELD}, TRAITS).request
    assert made["system"].startswith("S\n\nAnswer with")
