"""JSON objects in every way they can be written, for hypothesis."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

NAMES = st.sampled_from(["env", "ANTHROPIC_BASE_URL", "ENABLE_TOOL_SEARCH", "a", "é", 'q"', ""])
BLANKS = st.sampled_from(["", " ", "\n", "\n  ", "\r\n", "\r\n\t", "  \n\n "])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5), st.sampled_from(["true", "http://127.0.0.1:1"]),
)  # fmt: skip


@st.composite
def _written(draw: st.DrawFn, value: Any) -> str:
    """A list of pairs stands for an object, which may have a name twice."""
    blank = lambda: draw(BLANKS)  # noqa: E731 - short, and used in every line
    if isinstance(value, tuple):
        members = [
            f"{blank()}{draw(_name(name))}{blank()}:{blank()}{draw(_written(below))}{blank()}"
            for name, below in value
        ]
        return "{" + (",".join(members) or blank()) + "}"
    if isinstance(value, list):
        items = [f"{blank()}{draw(_written(item))}{blank()}" for item in value]
        return "[" + (",".join(items) or blank()) + "]"
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


@st.composite
def _name(draw: st.DrawFn, name: str) -> str:
    """Letters may be escaped, too."""
    if name and draw(st.integers(0, 4)) == 0:
        return '"' + "".join(f"\\u{ord(letter):04x}" for letter in name) + '"'
    return json.dumps(name, ensure_ascii=draw(st.booleans()))


def _object(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(st.tuples(NAMES, values), max_size=4).map(tuple)


VALUES = st.recursive(SCALARS, lambda below: st.lists(below, max_size=2) | _object(below))


@st.composite
def objects(draw: st.DrawFn) -> str:
    """Any object; in many of them `env` is one, too."""
    members = list(draw(_object(VALUES)))
    for env in draw(st.lists(_object(SCALARS), max_size=2)):
        members.insert(draw(st.integers(0, len(members))), ("env", env))
    body = draw(_written(tuple(members)))
    return draw(st.sampled_from(["", "\ufeff"])) + draw(BLANKS) + body + draw(BLANKS)
