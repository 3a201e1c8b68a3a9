from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.openai.json_text import JsonText, NotJsonError, json_of
from tests.linear import assert_linear, repeated


def pieces(text: str, size: int = 1) -> list[str]:
    """What is sent for each of the pieces of `text`; `NotJsonError` if it is none at its end."""
    reader = JsonText()
    sent = [reader.feed(text[at : at + size]) for at in range(0, len(text), size)]
    reader.end()
    return sent


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        pytest.param('{"a": 1}', {"a": 1}, id="plain"),
        pytest.param("[1, {}]", [1, {}], id="list"),
        pytest.param('[\n "a"]', ["a"], id="list over lines"),
        pytest.param("[true]", [True], id="list of words"),
        pytest.param('[note] {"a": 1}', {"a": 1}, id="brackets first"),
        pytest.param('\ufeff \n{"a": []}\n\n', {"a": []}, id="space around"),
        pytest.param('```json\n{"a": 1}\n```', {"a": 1}, id="fence"),
        pytest.param("```\n[1]\n```\nDone.", [1], id="fence without a name"),
        pytest.param('Here it is:\n\n```json\n{"a": 1}\n```\nBye {"b": 2}', {"a": 1}, id="prose"),
        pytest.param('Sure {as you like}: {"a": 1} ok?', {"a": 1}, id="braces in prose"),
        pytest.param('See [1] and {"x"} first: {"a": 1}', {"a": 1}, id="looks like an object"),
        pytest.param("```bash\nls\n```\n```json\n{}\n```", {}, id="another fence"),
        pytest.param('{"a": "x\ny\t\x01"}', {"a": "x\ny\t\x01"}, id="line ends in a string"),
        pytest.param(r'{"a": "\d \' \u12 \\"}', {"a": r"\d \' \u12 " + "\\"}, id="escapes"),
        pytest.param('{"a": [1, 2, ], \n}', {"a": [1, 2]}, id="commas too many"),
        pytest.param('{"a": "}", "b": {"]": -1.5e3}}}', {"a": "}", "b": {"]": -1.5e3}}, id="brackets"),
        pytest.param('{"a": [true, false, null, 0]}', {"a": [True, False, None, 0]}, id="words"),
        pytest.param('{"a": "```json {"}', {"a": "```json {"}, id="fence in a string"),
    ],
)  # fmt: skip
def test_the_value_is_what_is_sent(answer: str, value: Any) -> None:
    for size in (1, 2, 3, len(answer)):
        assert json.loads("".join(pieces(answer, size))) == value
    assert json_of(answer) == "".join(pieces(answer))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("", id="nothing"),
        pytest.param("I can't do that.", id="prose"),
        pytest.param('{"a": 1', id="not complete"),
        pytest.param('{"a": "he "said" so"}', id="quotes in a string"),
        pytest.param("{'a': 1}", id="other quotes"),
        pytest.param('{"a": 1 "b": 2}', id="no comma"),
        pytest.param('{"a": 1]', id="another bracket"),
        pytest.param('{"a":}', id="no value"),
        pytest.param("[,1]", id="[,"),
        pytest.param("{,}", id="{,"),
        pytest.param('{"a"}', id="no colon"),
        pytest.param('{"a": 01}', id="no number"),
        pytest.param('{"a": nul}', id="no word"),
        pytest.param('{"a": 1,, "b": 2}', id="two commas"),
    ],
)
def test_what_is_no_json_is_refused(answer: str) -> None:
    for size in (1, 3, max(1, len(answer))):
        with pytest.raises(NotJsonError, match="is not JSON"):
            pieces(answer, size)
    with pytest.raises(NotJsonError, match="is not JSON"):
        json_of(answer)


def test_the_error_shows_the_beginning_of_the_answer() -> None:
    with pytest.raises(NotJsonError) as caught:
        pieces("No! " * 100)
    assert str(caught.value) == f"The model's answer is not JSON: {'No! ' * 50}…"
    assert (caught.value.status, caught.value.code) == (502, "invalid_json")


def test_an_answer_that_was_cut_off_need_not_be_complete() -> None:
    reader = JsonText()
    assert reader.feed('{"a": [1, "x') == '{"a": [1, "x'
    reader.end(cut=True)
    assert not reader.done
    assert json_of('So: {"a": [1, "x', cut=True) == '{"a": [1, "x'


def test_as_little_as_possible_is_held_back() -> None:
    assert pieces('{"a": "b"}') == list('{"a": "b"}')
    assert pieces('Yes: {"a": "b"}')[-5:] == [' ', '"', 'b', '"', "}"]  # fmt: skip


@pytest.mark.parametrize(
    "key", ["\x1f" * 30, "\U00010000" * 20, "k" * 200], ids=["controls", "pairs", "long"]
)
def test_an_object_with_a_long_key_is_found_in_prose(key: str) -> None:
    text = json.dumps({key: None})
    assert "".join(pieces(f"So: {text}")) == json_of(f"So: {text}") == text


ITEMS = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
VALUES = (
    ITEMS | st.lists(ITEMS, max_size=2) | st.dictionaries(st.text(max_size=3), ITEMS, max_size=2)
)


@settings(max_examples=40)
@given(
    st.dictionaries(st.text(), VALUES, max_size=3),
    st.booleans(),
    st.sampled_from([None, 2]),
    st.data(),
)
def test_any_object_in_any_pieces(value: Any, plain: bool, indent: int | None, data: Any) -> None:
    text = json.dumps(value, ensure_ascii=plain, indent=indent)
    fenced = f"{data.draw(st.sampled_from(['', 'So: ', '```json']))}\n{text}\n```"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(fenced)), max_size=8)))
    reader = JsonText()
    ends = [0, *cuts, len(fenced)]
    sent = "".join(reader.feed(fenced[a:b]) for a, b in pairwise(ends))
    reader.end()
    assert sent == text


@pytest.mark.parametrize(
    "unit", ["word ", "{ ", '{"a', '{"\\{', "`", "[", " ", '```json\n"'], ids=repr
)
def test_prose_is_read_in_linear_time(unit: str) -> None:
    assert_linear(fed, repeated(unit, "x"))


@pytest.mark.parametrize("unit", ["[", '"a", ', "1,", "\\", "\\u00", "\n", "a", "1"], ids=repr)
@pytest.mark.parametrize("start", ["[", '["'])
def test_json_is_read_in_linear_time(unit: str, start: str) -> None:
    assert_linear(fed, repeated(unit, start))


def fed(text: str) -> None:
    reader = JsonText()
    try:
        for at in range(0, len(text), 7):
            reader.feed(text[at : at + 7])
    except NotJsonError:
        pass
