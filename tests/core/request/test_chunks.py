from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from h11 import Data, EndOfMessage, ProtocolError
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from hypothesis import example, given
from hypothesis import strategies as st

from neurolink_mitm.core.request.chunks import (
    BAD_END,
    BAD_SIZE,
    LONG_TRAILERS,
    LONGEST_LINE,
    MANY,
    NO_TRAILERS,
    SMALL,
    TOO_SMALL,
    Chunks,
)
from tests.linear import assert_linear, repeated

GOOD = b"4\r\nbody\r\nA;name=value\r\n0123456789\r\n01  \r\n!\r\n000\r\n\r\n"
WITH_TRAILERS = GOOD[:-2] + b"x-a: b\r\nx-c: d\r\n\r\n"
BODY = b"body0123456789!"


def of_request() -> Chunks:
    return Chunks()


def of_answer() -> Chunks:
    return Chunks(trailers=True, tiny=True)


Make = Callable[[], Chunks]
either = pytest.mark.parametrize("make", [of_request, of_answer], ids=["request", "answer"])


def fed(chunks: Chunks, *pieces: bytes) -> tuple[bytes, bytes]:
    """The body, and what was not read."""
    kept, parts = b"", []
    for piece in pieces:
        kept += piece
        data, used = chunks.feed(kept)
        parts.append(data)
        kept = kept[used:]
    return b"".join(parts), kept


def cut(sent: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted([0, *(min(place, len(sent)) for place in cuts), len(sent)])
    return [sent[start:end] for start, end in pairwise(edges)]


def stepwise(sent: bytes, step: int) -> list[bytes]:
    return [sent[at : at + step] for at in range(0, len(sent), step)]


# --- a body


@given(st.sampled_from([GOOD, WITH_TRAILERS]), st.lists(st.integers(0, 80), max_size=12))
def test_any_split_gives_the_same_body(sent: bytes, cuts: list[int]) -> None:
    chunks = of_answer() if sent is WITH_TRAILERS else of_request()
    assert fed(chunks, *cut(sent, cuts)) == (BODY, b"")
    assert chunks.done


@pytest.mark.parametrize("step", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("make", "sent"),
    [(of_request, GOOD), (of_answer, GOOD), (of_answer, WITH_TRAILERS)],
    ids=["request", "answer", "trailers"],
)
def test_what_follows_is_left(make: Make, sent: bytes, step: int) -> None:
    chunks = make()
    assert fed(chunks, *stepwise(sent + b"GET / HTTP/1.1", step)) == (BODY, b"GET / HTTP/1.1")
    assert chunks.done


@either
def test_half_a_body_has_not_ended(make: Make) -> None:
    for end in range(len(GOOD)):
        chunks = make()
        body, _ = fed(chunks, GOOD[:end])
        assert BODY.startswith(body)
        assert (chunks.done, chunks.fault) == (False, "")


@pytest.mark.parametrize("end", range(len(GOOD) - 2, len(WITH_TRAILERS)))
def test_half_of_the_trailers_is_no_end(end: int) -> None:
    chunks = of_answer()
    fed(chunks, WITH_TRAILERS[:end])
    assert (chunks.done, chunks.fault) == (False, "")


@pytest.mark.parametrize(
    "trailers",
    [b"x: y\r\n\r\n", b"x: y\n\n", b"\n", b"x: y\n\r\n", b"x\r\n\r\n", b"\rx\r\n\r\n", b"\x00\r\n\r\n"],
    ids=["one", "lf", "blank-lf", "mixed", "no-colon", "cr", "control"],
)  # fmt: skip
@pytest.mark.parametrize("step", [1, 2, 1000])
def test_trailers_of_an_answer_are_dropped(trailers: bytes, step: int) -> None:
    chunks = of_answer()
    assert fed(chunks, *stepwise(b"2\r\nok\r\n0\r\n" + trailers, step)) == (b"ok", b"")
    assert chunks.done


# --- faults


@either
@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        *((size, BAD_SIZE) for size in (
            b"zz\r\n", b"-1\r\n", b"+1\r\n", b"0x1\r\n", b"1\n!\r\n", b"\r\n", b" 1\r\n", b"1\r!", b"1 1\r\n",
            b"1;\x00\r\n", b"1;a\rb\r\n", b"f" * 16 + b"\r\n", b"1;".ljust(LONGEST_LINE + 1, b"x"),
        )),
        *((end, BAD_END) for end in (b"1\r\n!!\r\n", b"1\r\n!\n", b"1\r\n!\r!", b"1\r\n!0\r\n\r\n")),
    ],
    ids=lambda given: ascii(given)[:20],
)  # fmt: skip
def test_malformed(make: Make, sent: bytes, fault: str) -> None:
    chunks = make()
    fed(chunks, sent, b"\n\n")
    assert (chunks.fault, chunks.done) == (fault, False)


@pytest.mark.parametrize("sent", [b"0\r\nx-trailer: 1\r\n\r\n", b"0\r\nx", b"0\r\n\n"])
def test_trailers_of_a_request_are_refused(sent: bytes) -> None:
    chunks = of_request()
    fed(chunks, sent)
    assert (chunks.fault, chunks.done) == (NO_TRAILERS, False)


@either
def test_a_long_extension_is_waited_for(make: Make) -> None:
    chunks = make()
    assert fed(chunks, b"1;".ljust(LONGEST_LINE, b"x"))[0] == b""
    assert not chunks.fault


@pytest.mark.parametrize("line", [b"x: y\r\n", b"x"], ids=["many", "one-without-end"])
@pytest.mark.parametrize("step", [1000, 1 << 20])
@pytest.mark.parametrize(("more", "fault"), [(0, ""), (1, LONG_TRAILERS)], ids=["at", "over"])
def test_trailers_are_bounded(line: bytes, step: int, more: int, fault: str) -> None:
    trailers = line * (LONGEST_LINE // len(line) - 1)
    trailers += b"x" * (LONGEST_LINE + more - len(trailers))
    chunks = of_answer()
    fed(chunks, b"0\r\n", *stepwise(trailers, step))
    assert chunks.fault == fault


def test_trailers_that_are_whole_are_bounded_too() -> None:
    chunks = of_answer()
    fed(chunks, b"0\r\n" + b"x: y\r\n" * LONGEST_LINE + b"\r\n")
    assert (chunks.fault, chunks.done) == (LONG_TRAILERS, False)


@either
@pytest.mark.parametrize("bad", [b"zz\r\n", b"2\r\nokno\r\n"])
def test_what_came_before_a_fault_is_given_with_it(make: Make, bad: bytes) -> None:
    chunks = make()
    body, _ = fed(chunks, b"2\r\nok\r\n" + bad)
    assert body.startswith(b"ok")
    assert chunks.fault


@either
def test_a_bad_size_is_left_to_be_quoted(make: Make) -> None:
    chunks = make()
    assert fed(chunks, b"2\r\nok\r\nzz\r\n") == (b"ok", b"zz\r\n")


@either
def test_nothing_is_read_after_a_fault(make: Make) -> None:
    chunks = make()
    fed(chunks, b"zz\r\n")
    assert chunks.feed(GOOD) == (b"", 0)
    assert (chunks.fault, chunks.done) == (BAD_SIZE, False)


@either
@given(st.binary(max_size=100), st.sampled_from([b"", b"2\r\nab", b"2\r\nab\r\n", b"0\r\n"]))
def test_any_bytes_are_a_body_or_a_fault(make: Make, sent: bytes, before: bytes) -> None:
    chunks = make()
    fed(chunks, before, sent, sent)
    assert not (chunks.fault and chunks.done)


# --- h11 says the same

pieces = st.lists(
    st.one_of(
        st.builds(lambda data, ext: b"%x%b\r\n%b\r\n" % (len(data), ext, data),
                  st.binary(max_size=20), st.sampled_from([b"", b";a=b", b"\t"])),
        st.sampled_from([b"0\r\n\r\n", b"0\r\nx: y\r\n\r\n", b"\r\n", b"5", b"zz\r\n", b"-1\r\n", b"0x2\r\n"]),
    ),
    max_size=6,
)  # fmt: skip


def read_by_h11(sent: bytes) -> tuple[bytes, bool, bytes]:
    """The body, whether it is whole, and what is left. Raises `ProtocolError`."""
    reader, buf, body, whole = ChunkedReader(), ReceiveBuffer(), b"", False
    buf += sent
    while not whole and (event := reader(buf)):
        body += bytes(event.data) if isinstance(event, Data) else b""
        whole = isinstance(event, EndOfMessage)
    return body, whole, bytes(buf)


@given(pieces, st.lists(st.integers(0, 120), max_size=8))
@example([b"2\r\nok", b"\r\n0\r\n", b"\r\n"], [])
@example([b"2\r\nokno\r\n"], [])
def test_it_reads_as_h11_does(parts: list[bytes], cuts: list[int]) -> None:
    sent, chunks = b"".join(parts), of_answer()
    try:
        body, whole, left = read_by_h11(sent)
    except ProtocolError:
        fed(chunks, *cut(sent, cuts), b"\r\n")  # it says so at the end of the line
        assert chunks.fault
    else:
        read, kept = fed(chunks, *cut(sent, cuts))
        assert (read, chunks.done, chunks.fault) == (body, whole, "")
        assert not whole or kept == left


@given(pieces, st.lists(st.integers(0, 120), max_size=8))
def test_of_a_request_it_reads_as_h11_does_but_for_trailers(
    parts: list[bytes], cuts: list[int]
) -> None:
    sent, request, answer = b"".join(parts), of_request(), of_answer()
    bodies = [fed(chunks, *cut(sent, cuts))[0] for chunks in (request, answer)]
    assert bodies[0] == bodies[1]
    assert request.fault in (answer.fault, NO_TRAILERS)
    assert request.done is (answer.done and not request.fault)


# --- time


@either
def test_chunks_of_one_byte_hold_nobody_up(make: Make) -> None:
    """One read of a socket is 64 KB; with h11's reader and mitmproxy's loop it takes 190 ms."""
    chunks = make()
    sent = b"1\r\n!\r\n" * 10_900
    began = time.process_time()
    assert fed(chunks, sent[:8], sent[8:])[0] == b"!" * 10_900
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize(
    ("size", "count", "refused"),
    [(1, MANY, False), (1, MANY * 2, True), (SMALL, MANY * 3, False)],
)
@pytest.mark.parametrize("step", [7, 65_536])
def test_a_request_in_very_many_small_chunks(
    size: int, count: int, refused: bool, step: int
) -> None:
    chunks = of_request()
    fed(chunks, *stepwise((b"%x\r\n" % size + b"!" * size + b"\r\n") * count, step))
    assert chunks.fault == (TOO_SMALL if refused else "")


@pytest.mark.parametrize("step", [7, 65_536])
def test_an_answer_in_very_many_small_chunks(step: int) -> None:
    chunks = of_answer()
    fed(chunks, *stepwise(b"1\r\n!\r\n" * MANY * 2, step))
    assert not chunks.fault


@pytest.mark.parametrize(
    "unit",
    [b"1\r\n!\r\n", b"1;x=y\r\n!\r\n", b"1" + b" " * 500 + b"\r\n!\r\n", b"1" + b";" * 500 + b"\r\n!\r\n",
     b"ff\r\n" + b"!" * 255 + b"\r\n"],
    ids=["tiny", "extensions", "spaces", "semicolons", "small"],
)  # fmt: skip
@pytest.mark.parametrize("step", [7, 65_536])
def test_many_chunks_take_linear_time(unit: bytes, step: int) -> None:
    assert_linear(lambda sent: fed(of_answer(), *stepwise(sent, step)), repeated(unit))


def test_a_long_chunk_takes_linear_time() -> None:
    whole = repeated(b"!", b"ffffffffffff\r\n")
    assert_linear(lambda sent: fed(of_answer(), *stepwise(sent, 7)), whole)


@pytest.mark.parametrize(
    ("make", "start"),
    [(of_request, b"1;"), (of_answer, b"1;"), (of_answer, b"0\r\n")],
    ids=["request", "answer", "trailer"],
)
def test_a_long_line_byte_by_byte_costs_little(make: Make, start: bytes) -> None:
    """It is not matched again with each byte, which would be 0.3 ms."""
    chunks = make()
    _, line = fed(chunks, start + b"x" * 50_000)
    began = time.thread_time()
    for more in range(2000):
        chunks.feed(line + b"x" * more)
    assert time.thread_time() - began < 0.1
    assert not chunks.fault


@pytest.mark.parametrize("line", [b"x: y\r\n", b"\rx\r\n", b"\n\r"], ids=["fields", "cr", "lf-cr"])
def test_trailers_take_linear_time(line: bytes) -> None:
    assert_linear(lambda sent: fed(of_answer(), sent), repeated(line, b"0\r\nx"))
