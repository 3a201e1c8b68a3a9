from __future__ import annotations

import json

import pytest
from hypothesis import given

from neurolink_mitm.core.json_layout import document, span
from tests.core.json_texts import objects


@given(objects())
def test_spans_hold_what_they_name(text: str) -> None:
    top = document(text)
    assert top is not None
    for member in top.members:
        assert member.value == json.loads(
            text[member.value_start : member.end], parse_int=str, parse_float=str
        )
        assert json.loads(text[member.start :].partition(member.colon)[0]) == member.name
        assert text[: member.start].endswith(member.lead)


@given(objects())
def test_the_whole_is_from_brace_to_brace(text: str) -> None:
    top = document(text)
    assert top is not None
    assert json.loads(text[top.start : top.end]) == json.loads(text.lstrip("\ufeff"))
    assert text[: top.end - 1].endswith(top.tail)


def test_the_last_of_several_counts() -> None:
    found = span('{"a": 1, "b": 2, "a": 3}', 0).find("a")
    assert found
    assert found.value == "3"


@pytest.mark.parametrize("text", ["", " \n", "\ufeff", "\ufeff\r\n"])
def test_a_blank_document_is_none(text: str) -> None:
    assert document(text) is None


@pytest.mark.parametrize(
    "text",
    ["[]", "null", "{", '{"a": 1,}', "{} {}", '{"a": NaN}', "{'a': 1}", "// {}\n{}", "\x00{}"],
)
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - mostly Python's own words
        document(text)


def test_too_many_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="too many levels"):
        document('{"a":' * 200_000)


def test_long_numbers_are_fine() -> None:
    assert document('{"a": ' + "1" * 10_000 + "}")
