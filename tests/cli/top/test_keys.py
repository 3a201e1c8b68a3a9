"""The keys that terminals send."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.cli.top.keys import KeyReader

TYPED = {
    b"p": ["p"],
    b"jk?": ["j", "k", "?"],
    b"\x1b[A\x1bOB": ["up", "down"],
    b"\x1b[1~\x1b[F": ["home", "end"],
    b"\r": ["enter"],
    b"\x03": ["q"],
    b"\x1b\x1b[A": ["escape", "up"],
    b"\x1b[<0;10;10M\x1b[200~": [],  # a mouse, a paste that is announced
    b"\x1b[1;5Aq": ["q"],
    b"\x1bx": [],  # Alt-x is not x
    "äp🚀".encode(): ["p"],
    b"\x00\x07\x9b\xff": [],
}


def typed(*parts: bytes) -> list[str]:
    reader = KeyReader()
    return [*(key for part in parts for key in reader.feed(part)), *reader.flush()]


def test_sequences_have_names_and_what_has_none_is_skipped() -> None:
    assert {data: typed(data) for data in TYPED} == TYPED


def test_a_lone_escape_is_a_key_once_nothing_follows() -> None:
    reader = KeyReader()
    assert reader.feed(b"\x1b") == []
    assert reader.waits
    assert reader.flush() == ["escape"]
    assert not reader.waits


@given(st.lists(st.sampled_from(sorted(TYPED))), st.data())
def test_however_the_bytes_are_cut_the_keys_are_the_same(
    parts: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(parts)
    at = data.draw(st.integers(0, len(whole)))
    assert typed(whole[:at], whole[at:]) == typed(whole)


@given(st.binary(max_size=300))
def test_any_bytes_are_read(data: bytes) -> None:
    reader = KeyReader()
    reader.feed(data)
    reader.flush()
    assert reader.feed(b"q") == ["q"]


def test_a_sequence_that_never_ends_is_given_up() -> None:
    assert typed(b"\x1b[" + b"1" * 100, b"q")[-1] == "q"
