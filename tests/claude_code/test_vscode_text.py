"""VS Code's settings: changed and restored to the byte, whatever else is in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.claude_code import jsonc
from neurolink_mitm.claude_code.settings_text import Before
from neurolink_mitm.claude_code.vscode_text import SETTING, merge, restore, values
from tests.linear import assert_linear

OURS = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:55669", "ENABLE_TOOL_SEARCH": "true"}
LIST = [{"name": name, "value": value} for name, value in OURS.items()]
WITH_COMMENTS = """// mine
{
    "editor.fontSize": 14, // big
    /* the list */
    "claudeCode.environmentVariables": [
        // a note
        { "name": "A", "value": "1" }, // behind
    ],
    "x": {"y": [1, 2,],},
}
"""


@pytest.mark.parametrize(
    ("text", "merged"),
    [
        ("{}", '{\n  "%s": [\n    {"name": "N", "value": "V"}\n  ]\n}'),
        ("{\n}\n", '{\n  "%s": [\n    {"name": "N", "value": "V"}\n  ]\n}\n'),
        (
            '{\n  "a": 1, // one\n}\n',
            '{\n  "a": 1,\n  "%s": [\n    {"name": "N", "value": "V"}\n  ], // one\n}\n',
        ),
        ('{"a": 1}', '{"a": 1, "%s": [{"name": "N", "value": "V"}]}'),
        (
            '{\r\n\t"%s": []\r\n}',
            '{\r\n\t"%s": [\r\n\t\t{"name": "N", "value": "V"}\r\n\t]\r\n}',
        ),
        (
            '{"%s": [{"value": "old", "name": "N"}, 7]}',
            '{"%s": [{"value": "V", "name": "N"}, 7]}',
        ),
    ],
    ids=["empty", "blank", "trailing comma", "one line", "empty list", "value"],
)
def test_the_text(text: str, merged: str) -> None:
    text, merged = text.replace("%s", SETTING), merged.replace("%s", SETTING)
    done, before = merge(text, {"N": "V"})
    assert done == merged
    assert restore(done, {"N": "V"}, before) == text


@pytest.mark.parametrize(
    "text",
    [
        None, "", " \n", "\ufeff{}", "{ // nothing\n}", "{ /* a */ }", WITH_COMMENTS,
        '{"%s": [/* none */]}', '{\n "%s": [\n  // none\n ],\n "b": 1\n}', '{"%s": [1, "x", {}, {"name": 3}]}',
        '{"%s": [{"name": "ANTHROPIC_BASE_URL", "value": "http://x" /* theirs */ }]}',
        '{"%s": [{"name": "ANTHROPIC_BASE_URL", "value": 1}]}', '{"%s": 3, "%s": []}',
        '{"a": "// no comment", "b": "\\"/* nor this"}',
    ],
)  # fmt: skip
def test_it_is_restored_to_the_byte(text: str | None) -> None:
    text = text.replace("%s", SETTING) if text is not None else None
    done, before = merge(text, OURS)
    assert values(done, OURS) == {name: json.dumps(value) for name, value in OURS.items()}
    assert restore(done, OURS, before) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "line 1"), ("[]", "not a JSON object"), ('{"a": }', "no value"), ('{"a" 1}', "no colon"),
        ("{a: 1}", "no name"), ('{"a": 1 "b": 2}', "no comma"), ("{} x", "something follows"),
        ('{"%s": {}}', "is not a list"), ('{"%s": null}', "is not a list"), ("{/*", "line 1"),
        ('{"a": ' + "[" * 200, "too many levels"), ('{"a": "x', "Unterminated"), ("{,}", "no name"),
        ("42", "not a JSON object"), ('{"a":1,,}', "no name"),
    ],
)  # fmt: skip
def test_what_vs_code_can_not_read_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        merge(text.replace("%s", SETTING), OURS)


def test_what_was_changed_meanwhile_stays() -> None:
    done, before = merge(WITH_COMMENTS, OURS)
    changed = done.replace("http://127.0.0.1:55669", "http://mine").replace("14", "15")
    left = restore(changed, OURS, before)
    assert left is not None
    assert values(left, OURS) == {"ANTHROPIC_BASE_URL": '"http://mine"', "ENABLE_TOOL_SEARCH": None}
    assert "// a note" in left
    assert "15, // big" in left


@pytest.mark.parametrize(
    ("meanwhile", "left"),
    [
        (lambda text: text.replace("]", ', {"name": "B", "value": "2"}]'), '{"%s": [{"name": "B", "value": "2"}]}'),
        (lambda text: text.replace("[", "[ // kept\n"), '{"%s": [ // kept\n]}'),
        (lambda text: text.replace("{", "{ // kept\n", 1), "{ // kept\n}"),
        (lambda text: '{"b": 1}', '{"b": 1}'),
        (lambda text: "", ""),
    ],
    ids=["another variable", "a comment in the list", "a comment in the file", "all new", "emptied"],
)  # fmt: skip
def test_hulls_stay_if_somebody_uses_them(meanwhile: object, left: str) -> None:
    text = f'{{"{SETTING}": {json.dumps(LIST)}}}'
    changed = meanwhile(text)  # type: ignore[operator]
    restored = restore(changed, OURS, Before(dict.fromkeys(OURS), None, None))
    assert restored == left.replace("%s", SETTING)


def test_a_file_that_was_not_there_goes() -> None:
    done, before = merge(None, OURS)
    assert json.loads(done) == {SETTING: LIST}
    assert restore(done, OURS, before) is None


gaps = st.sampled_from(["", " ", "\n", "\r\n\t", " // c\n", "/* , ] } */", "\n  "])
names = st.sampled_from(["A", "ANTHROPIC_BASE_URL", "ENABLE_TOOL_SEARCH"])


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Settings with any list, or none, in any layout."""

    def joined(opening: str, parts: list[str], closing: str) -> str:
        comma = draw(st.sampled_from(["", ","])) if parts else ""
        inner = ",".join(draw(gaps) + part + draw(gaps) for part in parts)
        return opening + inner + comma + draw(gaps) + closing

    def items() -> Iterator[str]:
        for name in draw(st.lists(names, max_size=4)):
            fields = [f'"name":{json.dumps(name)}', f'"value"{draw(gaps)}:"v"']
            yield joined("{", draw(st.permutations(fields)), "}")

    members = draw(st.lists(st.sampled_from(['"a": 1', '"b": "//"', '"c": [1,]']), max_size=3))
    if draw(st.booleans()):
        place = draw(st.integers(0, len(members)))
        members.insert(place, f'"{SETTING}":{draw(gaps)}' + joined("[", list(items()), "]"))
    return draw(gaps) + joined("{", members, "}") + draw(gaps)


@given(documents())
def test_any_document_is_restored_to_the_byte(text: str) -> None:
    done, before = merge(text, OURS)
    assert values(done, OURS) == {name: json.dumps(value) for name, value in OURS.items()}
    assert restore(done, OURS, before) == text


@given(st.text(st.sampled_from('{}[]",:/*\\ \n1a'), max_size=40))
def test_any_text_is_refused_or_restored_to_the_byte(text: str) -> None:
    try:
        done, before = merge(text, OURS)
    except ValueError:
        return
    assert restore(done, OURS, before) == text


@pytest.mark.parametrize(
    "unit",
    [" ", "// x\n", "/* x */", "/*", "[", '"', '{"name": "ANTHROPIC_MODEL", "value": "claude-x"},'],
    ids=["blanks", "lines", "comments", "open comments", "levels", "quotes", "variables"],
)
def test_it_is_linear(unit: str) -> None:
    def both(text: str) -> None:
        with suppress(ValueError):
            done, before = merge(text, OURS)
            restore(done, OURS, before)

    assert_linear(both, lambda size: f'{{"{SETTING}": [{unit * (size // len(unit))}]}}')


@given(documents())
def test_whatever_is_removed_from_any_list_the_rest_can_be_read(text: str) -> None:
    """The variables are anywhere in the list, as after an edit of the user's."""
    names = ("A", "a", "b")
    ours = {"ANTHROPIC_BASE_URL": "v", "ENABLE_TOOL_SEARCH": "v"}
    left = restore(text, ours, Before(dict.fromkeys(ours), None, "{}"))
    assert left is not None
    assert values(left, names) == values(text, names)
    root, was = jsonc.root(left), jsonc.root(text)
    assert root is not None
    assert was is not None
    others = [each.name for each in jsonc.children(left, root)]
    assert [each.name for each in jsonc.children(text, was) if each.name != SETTING] == [
        name for name in others if name != SETTING
    ]
