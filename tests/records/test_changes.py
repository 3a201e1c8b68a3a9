from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.redact.text import MASK
from neurolink_mitm.records.changes import Change, body_changes, header_changes, spans


def told(change: Change) -> tuple[str, str, str, str]:
    return change.kind, change.where, change.before, change.after


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('{"a":1}', '{"a":1}', []),
        ('{"a":1,"b":2}', '{"a":1,"b":3}', [("changed", "b", "2", "3")]),
        ('{"a":1}', '{"a":1,"b":[]}', [("added", "b", "", "[]")]),
        ('{"a":[1,2,3]}', '{"a":[1,3]}', [("removed", "a[1]", "2", "")]),
        ('{"a":[1,3]}', '{"a":[1,2,3]}', [("added", "a[1]", "", "2")]),
        ('{"a":[{"t":"x"}]}', '{"a":[{"t":"y"}]}', [("changed", "a[0].t", "x", "y")]),
        ('{"a":1}', "[1]", [("changed", "", '{"a":1}', "[1]")]),
        ("a b c", "a x c", [("changed", "", "b", "x")]),
        ("", "x", [("added", "", "", "x")]),
        ('{"a":1,"a":2}', '{"a":1,"a":3}', [("changed", "", "2", "3")]),
    ],
)  # fmt: skip
def test_what_differs(old: str, new: str, expected: list[object]) -> None:
    assert [told(each) for each in body_changes(old.encode(), new.encode())] == expected


def test_each_replaced_word_is_a_change_with_its_offset() -> None:
    text = "The fleet of Kingfisher is at sea; all of Kingfisher's boats are well."
    old = json.dumps({"m": text}).encode()
    changes = body_changes(old, old.replace(b"Kingfisher", b"NLW_0001"))
    assert [(each.before, each.after) for each in changes] == [("Kingfisher", "NLW_0001")] * 2
    assert [old[each.at :][:10] for each in changes] == [b"Kingfisher"] * 2


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=60))
def test_the_changes_make_the_new_text_of_the_old_one(a: bytes, b: bytes, c: bytes) -> None:
    for old, new in ((a + b + c, a + c + c), (a, b), (a + b, b + a)):
        made, at = b"", 0
        for i, i_end, j, j_end in spans(old, new):
            made += old[at:i] + new[j:j_end]
            at = i_end
        assert made + old[at:] == new


LARGE = (b'{"a":"%s"}' % (b"xy" * 2_000_000), b"[" * 100_000, b"ab" * 1_000_000)


@pytest.mark.parametrize("old", LARGE, ids=["string", "deep", "text"])
def test_large_bodies_take_no_time(old: bytes) -> None:
    began = time.monotonic()
    body_changes(old, old[: len(old) // 2] + b"zz" + old[len(old) // 2 + 7 :] + b"q")
    body_changes(old, bytes(reversed(old)))
    assert time.monotonic() - began < 2


def test_headers() -> None:
    old = [
        ("Host", "localhost"),
        ("X-Api-Key", MASK),
        ("accept", "a"),
        ("Via", "x"),
        ("b", "1"),
        ("b", "2"),
    ]
    new = [
        ("accept", "a"),
        ("host", "api"),
        ("x-api-key", MASK),
        ("b", "1"),
        ("anthropic-beta", "o"),
    ]
    changes = [(each.kind, each.where) for each in header_changes(old, new)]
    assert changes == [
        ("changed", "host"), ("changed", "x-api-key"), ("removed", "via"), ("changed", "b"),
        ("added", "anthropic-beta"),
    ]  # fmt: skip
