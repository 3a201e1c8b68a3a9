from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.chunks import LONGEST_LINE, MANY, SMALL, Chunks

GOOD = b"4\r\nbody\r\nA;name=value\r\n0123456789\r\n01  \r\n!\r\n000\r\n\r\n"
BODY = b"body0123456789!"


def fed(*pieces: bytes) -> tuple[bytes, bytes, bool]:
    """The body, what was not read, and whether it has ended."""
    chunks, kept, body = Chunks(), b"", b""
    for piece in pieces:
        kept += piece
        data, used = chunks.feed(kept)
        body, kept = body + data, kept[used:]
    return body, kept, chunks.done


@given(st.lists(st.integers(0, len(GOOD)), max_size=12))
def test_any_split_gives_the_same_body(cuts: list[int]) -> None:
    edges = sorted([0, *cuts, len(GOOD)])
    assert fed(*(GOOD[start:end] for start, end in pairwise(edges))) == (BODY, b"", True)


def test_what_follows_is_left() -> None:
    assert fed(GOOD + b"GET / HTTP/1.1") == (BODY, b"GET / HTTP/1.1", True)


@pytest.mark.parametrize("cut", range(len(GOOD)))
def test_half_a_body_has_not_ended(cut: int) -> None:
    body, _, done = fed(GOOD[:cut])
    assert BODY.startswith(body)
    assert not done


@pytest.mark.parametrize(
    "sent",
    [b"zz\r\n", b"-1\r\n", b"+1\r\n", b"0x1\r\n", b"1\n!\r\n", b"\r\n", b" 1\r\n", b"1\r!", b"1 1\r\n", b"1;\x00\r\n",
     b"1;a\rb\r\n", b"f" * 16 + b"\r\n", b"1\r\n!!\r\n", b"1\r\n!\n", b"1\r\n!\r!", b"1\r\n!0\r\n\r\n",
     b"0\r\nx-trailer: 1\r\n\r\n", b"0\r\nx", b"0\r\n\n", b"1;".ljust(LONGEST_LINE + 1, b"x")],
)  # fmt: skip
def test_malformed(sent: bytes) -> None:
    with pytest.raises(ValueError, match="body"):
        fed(sent, b"\n\n")


def test_a_long_extension_is_waited_for() -> None:
    assert fed(b"1;".ljust(LONGEST_LINE, b"x"))[0] == b""


@given(st.binary(max_size=100), st.sampled_from([b"", b"2\r\nab", b"2\r\nab\r\n", b"0\r\n"]))
def test_no_bytes_make_it_raise_anything_else(sent: bytes, before: bytes) -> None:
    try:
        fed(before, sent, sent)
    except ValueError as e:
        assert "body" in str(e)  # noqa: PT017 - either way is fine


def test_chunks_of_one_byte_hold_nobody_up() -> None:
    """One read of a socket is 64 KB."""
    sent = b"1\r\n!\r\n" * 10_900
    began = time.process_time()
    assert fed(sent[:8], sent[8:])[0] == b"!" * 10_900
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize(
    ("size", "count", "refused"),
    [(1, MANY, False), (1, MANY * 2, True), (SMALL, MANY * 3, False)],
)
@pytest.mark.parametrize("step", [7, 65_536])
def test_a_body_in_very_many_small_chunks(size: int, count: int, refused: bool, step: int) -> None:
    sent = (b"%x\r\n" % size + b"!" * size + b"\r\n") * count
    chunks, kept, raised = Chunks(), b"", False
    try:
        for at in range(0, len(sent), step):
            kept += sent[at : at + step]
            kept = kept[chunks.feed(kept)[1] :]
    except ValueError as e:
        raised = "small" in str(e)
    assert raised is refused
