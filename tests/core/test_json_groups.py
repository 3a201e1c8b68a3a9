from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core import json_groups
from neurolink_mitm.core import json_spans as spans
from neurolink_mitm.core.json_groups import LARGE, groups
from neurolink_mitm.core.json_spans import Span

ITEMS = st.one_of(
    st.just(0),
    st.just({}),
    st.just("a,b,]},{"),
    st.lists(st.integers(), max_size=3),
    st.just({"role": "user", "content": [{"type": "text", "text": 'a, "b"'}]}),
    st.integers(1, 300_000).map(lambda size: "x," * size),
)


@given(st.lists(ITEMS, min_size=1, max_size=5), st.integers(1, 3), st.booleans())
def test_they_are_all_that_is_in_the_list(items: list[object], times: int, spaced: bool) -> None:
    small = all(len(str(item)) < 100 for item in items)
    many = items * (times * (10_000 // len(items) if small else 1))
    text = json.dumps(many, separators=None if spaced else (",", ":")).encode()
    found = list(groups(text, 1, len(text) - 1, b"[]"))
    assert [each for start, end in found for each in json.loads(b"[%s]" % text[start:end])] == many
    assert b",".join(text[start:end] for start, end in found) == text[1:-1]


@pytest.mark.parametrize("unit", [b"{}", b"0", b'"a,b"', b'{"a":[0,0]}', b'{"a":"b"} '])
def test_none_is_large(unit: bytes) -> None:
    text = b"[%s]" % b",".join([unit] * (4 * LARGE // len(unit)))
    assert max(end - start for start, end in groups(text, 1, len(text) - 1, b"[]")) <= LARGE


def test_members_of_a_large_object() -> None:
    members = {f"name{n}": [n] for n in range(100_000)}
    text = json.dumps(members).encode()
    found = spans.parts(text, Span(0, len(text)))
    assert {part.name: json.loads(part.value.of(text)) for part in found} == members


def test_a_member_that_occurs_twice_in_a_large_object_is_a_fault() -> None:
    text = b'{"a":0,' + b",".join(b'"%d":0' % n for n in range(LARGE // 4)) + b',"a":1}'
    assert len(text) > 2 * LARGE
    with pytest.raises(ValueError, match="occurs twice"):
        spans.parts(text, Span(0, len(text)))


@pytest.mark.parametrize(
    "text", [b"[" + b"0," * LARGE, b"[" + b"0," * LARGE + b"}", b"[" + b"0 " * LARGE + b"]"]
)
def test_what_is_no_json_is_a_fault(text: bytes) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        list(spans.items(text, Span(0, len(text))))


def test_small_ones_are_read_at_once() -> None:
    assert list(json_groups.groups(b"[1,2]", 1, 4, b"[]")) == [(1, 4)]
