from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.config.interpolation import DEEPEST, only_references, resolve, resolve_all

ENV = {"A": "one", "B_2": "two", "EMPTY": "", "ODD": "${A} $${A} }"}


def unset(name: str) -> str:
    return f"the variable {name} is not set, neither in the environment nor in .env"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("${A}", "one"),
        ("<${A}-${B_2}>", "<one-two>"),
        ("${EMPTY}", ""),
        ("${A:-x}", "one"),
        ("${NONE:-x y}", "x y"),
        ("${EMPTY:-x}", "x"),
        ("${NONE:-}", ""),
        ("${NONE:-${A}}", "one"),
        ("${NONE:-${GONE:-deep}}!", "deep!"),
        ("${A:-${GONE}}", "one"),
        ("${NONE:-a:-b}", "a:-b"),
        ("$${A}", "${A}"),
        ("$A $ $$ a}b {c}", "$A $ $$ a}b {c}"),
        ("${ODD}", "${A} $${A} }"),
        ("x\n${A}\ny", "x\none\ny"),
    ],
)
def test_resolve(text: str, expected: str) -> None:
    assert resolve(text, ENV) == (expected, ())


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("${NONE}", [unset("NONE")]),
        (
            "${X}${Y}${X}",
            [
                unset("X"),
                unset("Y"),
            ],
        ),
        (
            "${NONE:-${GONE}}",
            [unset("GONE")],
        ),
        ("${NONE:-x", ["${NONE:-… has no closing brace"]),
    ],
    ids=["unset", "two-once-each", "in-a-needed-default", "open-default"],
)
def test_faults_name_the_variable(text: str, faults: list[str]) -> None:
    assert list(resolve(text, ENV)[1]) == faults


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A", "${A-x}", "${A:?x}", "${a b}"])
def test_other_forms_are_malformed_not_ignored(text: str) -> None:
    (fault,) = resolve(text, ENV)[1]
    assert fault.startswith("has a malformed ${…}")


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
plain = st.text(st.characters(exclude_characters="$}"))


@given(st.text().filter(lambda text: "${" not in text))
def test_text_without_references_stays_as_it_is(text: str) -> None:
    assert resolve(text, {}) == (text, ())


@given(plain, names, st.text(), plain)
def test_a_value_goes_in_as_it_is(before: str, name: str, value: str, after: str) -> None:
    """Nothing in a value is read as a reference."""
    assert resolve(f"{before}${{{name}}}{after}", {name: value}) == (before + value + after, ())


@given(names, plain, st.one_of(st.none(), st.text()))
def test_a_default_stands_in_for_unset_and_empty(
    name: str, default: str, value: str | None
) -> None:
    env = {} if value is None else {name: value}
    assert resolve(f"${{{name}:-{default}}}", env) == (value or default, ())


@given(st.text())
def test_any_text_is_resolved_or_faulted(text: str) -> None:
    resolved, faults = resolve(text, {})
    assert isinstance(resolved, str)
    assert all(isinstance(fault, str) for fault in faults)


@given(st.text(alphabet="${}:-A"))
def test_any_mess_of_braces_is_resolved_or_faulted(text: str) -> None:
    resolve(text, {"A": "x"})


@pytest.mark.parametrize(
    ("text", "only"),
    [
        ("${A}", True),
        ("${A}${B}", True),
        ("${A:-}", True),
        ("${A:-${B}}${C:-${D:-${E}}}", True),
        ("${A:-${B}k}", False),
        ("${A:-key}", False),
        ("key", False),
        ("k${A}", False),
        ("", True),
    ],
)
def test_only_references(text: str, only: bool) -> None:
    assert only_references(text) is only


def test_strings_are_resolved_wherever_they_are() -> None:
    document = {"a": ["${A}", {"b": "${B_2}"}], "${A}": 1, "c": 2.5}
    assert resolve_all(document, ENV) == ({"a": ["one", {"b": "two"}], "${A}": 1, "c": 2.5}, ())


def test_the_document_itself_is_left_alone() -> None:
    document = {"a": ["${A}"], "b": None}
    resolve_all(document, ENV)
    assert document == {"a": ["${A}"], "b": None}


def test_keys_without_a_value_are_dropped() -> None:
    assert resolve_all({"a": None, "b": {"c": None}, "d": [None]}, {})[0] == {"b": {}, "d": [None]}


def test_faults_name_the_place() -> None:
    faults = resolve_all({"a": [{"b": "${X}"}], "c": "${Y}"}, {})[1]
    assert [str(fault) for fault in faults] == [
        "a[0].b: " + unset("X"),
        "c: " + unset("Y"),
    ]


def test_a_document_that_is_too_deep_is_a_fault() -> None:
    document: Any = "x"
    for _ in range(10 * DEEPEST):
        document = [document]
    (fault,) = resolve_all(document, {})[1]
    assert f"more than {DEEPEST} levels" in str(fault)
