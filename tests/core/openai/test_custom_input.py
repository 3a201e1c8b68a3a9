from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.openai.custom_input import CustomInput
from tests.linear import assert_linear, repeated


def text_of(*pieces: str) -> str:
    custom = CustomInput()
    return "".join([*map(custom.feed, pieces), custom.end()])


@settings(max_examples=50)
@given(
    st.text(st.characters(exclude_categories=("Cs",)) | st.sampled_from('"\\\n\U0001f600é')),
    st.booleans(),
    st.lists(st.integers(0, 40)),
)
def test_any_split_of_the_json_gives_the_text(text: str, ascii: bool, cuts: list[int]) -> None:
    call = json.dumps({"input": text}, ensure_ascii=ascii)
    ends = sorted({min(cut, len(call)) for cut in cuts} | {0, len(call)})
    pieces = [call[a:b] for a, b in pairwise(ends)]
    assert text_of(*pieces) == text
    assert text_of(*call) == text


def test_the_text_comes_as_soon_as_it_is_complete() -> None:
    custom = CustomInput()
    pieces = ['{"in', 'put": ', '"*** Be', "gin\\", "n\\u00", "e9\\ud83d", '\\ude00!"', "}"]
    assert [custom.feed(piece) for piece in pieces] == [
        "", "", "*** Be", "gin", "\n", "é", "\U0001f600!", ""
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "text"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param("{}", "", id="no member"),
        pytest.param('{"input":""}', "", id="empty"),
        pytest.param('{"patch":"x\\n"}', "x\n", id="another name"),
        pytest.param('{"why":"so","input":"x"}', "x", id="another member before"),
        pytest.param('{"input":"x","why":"so"}', "x", id="another member behind"),
        pytest.param('{"input":["x"]}', '{"input":["x"]}', id="no text"),
        pytest.param('["x"]', '["x"]', id="no object"),
        pytest.param('{"inp', '{"inp', id="cut in the beginning"),
        pytest.param('{"input":"x\\', "x", id="cut in an escape"),
        pytest.param('{"input":"x\\ud83d', "x", id="cut within a letter"),
        pytest.param('{"input":"\\ud83dx"}', "�x", id="half a letter"),
        pytest.param('{"input":"\\d+\\uzz\\""}', '\\d+\\uzz"', id="escapes that JSON has not"),
        pytest.param('{"input":"\n\\d"}', "\n\\d", id="both"),
        pytest.param('{"input":"a\nb\tc"}', "a\nb\tc", id="line ends as they are"),
        pytest.param(" " * 300 + '{"input":"x"}', "x", id="a long beginning"),
    ],
)
def test_the_text_of_other_calls(call: str, text: str) -> None:
    assert text_of(call) == text
    assert text_of(*call) == text


@pytest.mark.parametrize("before", ['{"input":"', '{"other":1,"x":"'])
def test_a_long_text_takes_linear_time(before: str) -> None:
    def pieces(call: str) -> None:
        text_of(*(call[at : at + 20] for at in range(0, len(call), 20)))

    assert_linear(pieces, repeated("x\\n\\ud83d\\ude00 é", before))
