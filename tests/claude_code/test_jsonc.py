from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.claude_code import jsonc

documents = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), documents, max_size=4), st.sampled_from([None, 2, "\t"]))
def test_the_places_of_plain_json_are_those_of_its_values(
    document: dict[str, object], indent: int | str | None
) -> None:
    text = json.dumps(document, indent=indent)
    top = jsonc.root(text)
    assert top == 0
    found = {
        child.name: json.loads(text[child.value_start : child.end])
        for child in jsonc.children(text, top)
    }
    assert found == document


def test_comments_and_trailing_commas_are_passed_over() -> None:
    text = '\ufeff// a\n{ /* "b": 1, */ "c": [1, {"d": "//",},], // e\n}\n'
    top = jsonc.root(text)
    assert top is not None
    (child,) = jsonc.children(text, top)
    assert (child.name, text[child.value_start : child.end]) == ("c", '[1, {"d": "//",},]')
    assert jsonc.comments(text) == ["// a", '/* "b": 1, */', "// e"]


@pytest.mark.parametrize("text", ["", " // only this\n", "\ufeff"])
def test_a_blank_document_has_no_object(text: str) -> None:
    assert jsonc.root(text) is None


@pytest.mark.parametrize(
    "text",
    ["[]", "{", '{"a"}', '{"a": }', '{"a": 1 "b": 2}', "{,}", "{} {}", '{"a": [1, 2}', '{"a": nan}', '{"a": /* }',
     '{"a": ' + "[" * 101 + "]" * 101 + "}"],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        jsonc.root(text)
