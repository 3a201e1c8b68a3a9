from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from neurolink_mitm.claude_code.settings_text import (
    Before,
    document,
    inherit,
    merge,
    restore,
    span,
    variables,
)
from tests.core.request.json_texts import objects


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


OURS = variables("http://127.0.0.1:55669")
THEIRS = variables("http://127.0.0.1:1")


def merged(text: str | None, ours: dict[str, str] = OURS) -> tuple[str, Before]:
    """Of documents that hypothesis made: those that can be merged into."""
    try:
        return merge(text, ours)
    except ValueError as e:
        assert str(e) == '"env" is not an object'  # noqa: PT017 - what else should it be
        assume(False)
        raise


def read(text: str) -> Any:
    return json.loads(text.removeprefix("\ufeff"))


@given(objects())
def test_restored_it_is_the_same_text(text: str) -> None:
    done, before = merged(text)
    assert restore(done, OURS, before) == text


@given(objects())
def test_nothing_else_is_changed(text: str) -> None:
    done, _ = merged(text)
    was = read(text)
    assert read(done) == {**was, "env": {**was.get("env", {}), **OURS}}


@given(objects())
def test_merging_what_is_merged_changes_nothing(text: str) -> None:
    done, _ = merged(text)
    assert merge(done, OURS)[0] == done


@given(objects(), st.booleans())
def test_two_proxies_leave_it_as_it_was(text: str, first_ends_first: bool) -> None:
    one, before = merged(text)
    two, later = merge(one, THEIRS)
    if first_ends_first:
        assert restore(two, THEIRS, inherit(later, OURS, before)) == text
        return
    between = restore(two, THEIRS, later)
    assert between == one
    assert restore(between, OURS, before) == text


@given(objects(), st.sampled_from(["env", "top"]))
def test_what_is_added_meanwhile_stays(text: str, where: str) -> None:
    done, before = merged(text)
    edited = read(done)
    (edited["env"] if where == "env" else edited)["NEW"] = "new"
    left = restore(json.dumps(edited, indent=2), OURS, before)
    assert left
    expected = read(text)
    (expected.setdefault("env", {}) if where == "env" else expected)["NEW"] = "new"
    assert read(left) == expected


@pytest.mark.parametrize("text", [None, "", "\ufeff", " \r\n"])
def test_without_settings_a_file_is_made_and_goes_again(text: str | None) -> None:
    done, before = merge(text, OURS)
    assert done == (
        '{\n  "env": {\n    "ANTHROPIC_BASE_URL": "http://127.0.0.1:55669",\n'
        '    "ENABLE_TOOL_SEARCH": "true"\n  }\n}\n'
    )
    assert restore(done, OURS, before) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{\r\n\t"model": "opus"\r\n}\r\n',
            '{\r\n\t"model": "opus",\r\n\t"env": {\r\n\t\t"ANTHROPIC_BASE_URL": "u",'
            '\r\n\t\t"ENABLE_TOOL_SEARCH": "true"\r\n\t}\r\n}\r\n',
        ),
        (
            '{\n  "env": {\n    "A": "1"\n  }\n}',
            '{\n  "env": {\n    "A": "1",\n    "ANTHROPIC_BASE_URL": "u",'
            '\n    "ENABLE_TOOL_SEARCH": "true"\n  }\n}',
        ),
        (
            '{"env": {"ANTHROPIC_BASE_URL": "mine", "A": "1"}}',
            '{"env": {"ANTHROPIC_BASE_URL": "u", "A": "1", "ENABLE_TOOL_SEARCH": "true"}}',
        ),
        (
            '{"a":1}',
            '{"a":1, "env":{"ANTHROPIC_BASE_URL": "u", "ENABLE_TOOL_SEARCH": "true"}}',
        ),
    ],
    ids=["tabs-and-crlf", "env", "one-line", "minified"],
)
def test_it_is_written_as_the_rest_is(text: str, expected: str) -> None:
    done, before = merge(text, variables("u"))
    assert done == expected
    assert restore(done, variables("u"), before) == text


def test_a_value_that_someone_changed_is_left() -> None:
    done, before = merge('{"env": {}}', OURS)
    edited = done.replace(OURS["ANTHROPIC_BASE_URL"], "https://gateway.example.com")
    left = restore(edited, OURS, before)
    assert left
    assert read(left) == {"env": {"ANTHROPIC_BASE_URL": "https://gateway.example.com"}}


def test_a_value_that_someone_took_out_stays_out() -> None:
    _, before = merge('{"env": {"ANTHROPIC_BASE_URL": "mine"}}', OURS)
    assert restore('{"env": {}}', OURS, before) == '{"env": {}}'


def test_what_someone_emptied_is_not_removed() -> None:
    _, before = merge(None, OURS)
    assert restore("{}", OURS, before) == "{}"


def test_a_hull_that_others_emptied_stays() -> None:
    """The user has taken the other variables out, and the other settings."""
    _, before = merge('{"a": 1, "env": {"A": "1"}}', OURS)
    left = restore(json.dumps({"env": OURS}), OURS, before)
    assert left == '{"env": {}}'


@pytest.mark.parametrize("text", ["{", "[]", '{"env": null}', '{"env": "A=1"}', "// no\n{}"])
def test_what_can_not_be_merged_into_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - partly Python's own words
        merge(text, OURS)


def test_what_can_not_be_read_is_not_restored() -> None:
    _, before = merge(None, OURS)
    with pytest.raises(ValueError, match="Expecting"):
        restore("{", OURS, before)


def test_the_first_to_end_hands_on_nothing_that_was_changed_in_between() -> None:
    """The user chose another address between the two starts: that one comes back."""
    one, before = merge(None, OURS)
    chosen = one.replace(OURS["ANTHROPIC_BASE_URL"], "mine")
    two, later = merge(chosen, THEIRS)
    left = restore(two, THEIRS, inherit(later, OURS, before))
    assert left
    assert read(left) == {"env": {"ANTHROPIC_BASE_URL": "mine"}}


def test_the_first_to_end_hands_on_nothing_where_nothing_of_it_was_left() -> None:
    _, before = merge("{ }", OURS)
    done, later = merge(None, THEIRS)
    assert restore(done, THEIRS, inherit(later, OURS, before)) is None
