"""Server-sent events. Named examples are those of the WHATWG specification (see `core/response/sse.py`)."""

from __future__ import annotations

import re
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from neurolink_mitm.core.response.sse import SseEvent, SseReader, encode

BOM = b"\xef\xbb\xbf"


def read(stream: bytes) -> list[SseEvent]:
    return SseReader().feed(stream)


def messages(stream: bytes) -> list[bytes]:
    events = read(stream)
    assert {event.name for event in events} <= {"message"}
    return [event.data for event in events]


def by_the_book(stream: bytes) -> list[SseEvent]:
    """All at once, in the words of the specification."""
    events, name, data = [], b"", b""
    for line in re.findall(rb"([^\r\n]*)(?:\r\n|\n|\r)", stream.removeprefix(BOM)):
        key, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if line == b"":
            if data:
                events.append(SseEvent(name.decode("utf-8", "replace") or "message", data[:-1]))
            name, data = b"", b""
        elif key == b"event":
            name = value
        elif key == b"data":
            data += value + b"\n"
    return events


ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
texts = st.text("a \u00e9:{", max_size=4).map(str.encode) | st.binary(max_size=3)
lines = st.one_of(
    st.just(b""),
    st.builds(
        b"".join,
        st.tuples(
            st.sampled_from(
                [b"data", b"event", b"id", b"retry", b"", b"Data", b"\xef\xbb\xbfdata"]
            ),
            st.sampled_from([b"", b":", b": ", b":  "]),
            texts,
        ),
    ),
)
streams = st.builds(
    lambda bom, parts, rest: bom + b"".join(line + end for line, end in parts) + rest,
    st.sampled_from([b"", BOM, BOM + BOM]),
    st.lists(st.tuples(lines, ends), max_size=12),
    lines,
)


@st.composite
def in_chunks(draw: st.DrawFn) -> list[bytes]:
    """A stream, cut anywhere; some chunks are empty."""
    stream = draw(streams)
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[start:end] for start, end in pairwise([0, *cuts, len(stream)])]


@given(streams)
def test_it_reads_as_specified(stream: bytes) -> None:
    assert read(stream) == by_the_book(stream)


@given(in_chunks())
@example([b"data: x\r", b"\n\r", b"\ndata: y\n\n"])
@example([b"\xef", b"\xbb", b"\xbfdata: x\n\n"])
@example([b"data: x\r", b"", b"\n\n"])
def test_any_split_gives_the_same_events(chunks: list[bytes]) -> None:
    reader = SseReader()
    assert [event for chunk in chunks for event in reader.feed(chunk)] == read(b"".join(chunks))


@given(streams)
def test_byte_by_byte_gives_the_same_events(stream: bytes) -> None:
    reader = SseReader()
    assert [e for byte in stream for e in reader.feed(bytes([byte]))] == read(stream)


@given(in_chunks(), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_an_event_is_there_with_its_last_byte(chunks: list[bytes], end: bytes) -> None:
    """Also where a CR ends it, whatever follows."""
    reader = SseReader()
    for chunk in chunks:
        reader.feed(chunk)
    reader.feed(end + end + b"data: x" + end)
    assert reader.feed(end)[-1].data == b"x"


@given(in_chunks())
def test_what_came_is_whole_events_and_what_is_pending(chunks: list[bytes]) -> None:
    reader, fed, seen = SseReader(), b"", []
    for chunk in chunks:
        seen += reader.feed(chunk)
        fed += chunk
        assert fed.endswith(reader.pending)
        whole = fed[: len(fed) - len(reader.pending)]
        # whatever follows, these bytes are these events
        assert read(whole + b": more") == seen


@given(in_chunks())
def test_the_size_of_what_is_pending_is_known(chunks: list[bytes]) -> None:
    reader = SseReader()
    for chunk in chunks:
        reader.feed(chunk)
        assert reader.pending_size == len(reader.pending)


@given(in_chunks())
def test_what_is_pending_holds_no_event(chunks: list[bytes]) -> None:
    reader = SseReader()
    for chunk in chunks:
        reader.feed(chunk)
        assert read(reader.pending) == []


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [b"YHOO\n+2\n10"]),
        (
            b": test stream\n\ndata: first event\nid: 1\n\n"
            b"data:second event\nid\n\ndata:  third event\n\n",
            [b"first event", b"second event", b" third event"],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [b"", b"\n"]),
        (b"data:test\n\ndata: test\n\n", [b"test", b"test"]),
    ],
    ids=["stocks", "comment-and-ids", "empty-data", "optional-space"],
)
def test_examples_of_the_specification(stream: bytes, expected: list[bytes]) -> None:
    assert messages(stream) == expected


def test_events_have_names() -> None:
    stream = b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n"
    assert read(stream) == [SseEvent("add", b"73857293"), SseEvent("remove", b"2153")]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: x\n\n", [b"x"]),
        (b"data: x\r\n\r\n", [b"x"]),
        (b"data: x\r\r:", [b"x"]),
        (b"data: x\n\r\n", [b"x"]),
        (b"data: x\r\n\n", [b"x"]),
        (b"data: a\rdata: b\ndata: c\r\ndata: d\n\n", [b"a\nb\nc\nd"]),
    ],
    ids=["lf", "crlf", "cr", "lf-crlf", "crlf-lf", "mixed"],
)
def test_each_line_end(stream: bytes, expected: list[bytes]) -> None:
    assert messages(stream) == expected


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (BOM + b"data: x\n\n", [b"x"]),
        (BOM + BOM + b"data: x\n\n", []),
        (b"data: x\n\n" + BOM + b"data: y\n\n", [b"x"]),
    ],
    ids=["at-the-start", "twice", "later"],
)
def test_one_byte_order_mark_is_skipped(stream: bytes, expected: list[bytes]) -> None:
    assert messages(stream) == expected


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"\n\n\n",
        b"data: x\n",
        b"data: x",
        b": keep-alive\n\n",
        b"event: ping\n\n",
        b"id: 1\nretry: 5\n\n",
        b"Data: x\n\n",
        b" data: x\n\n",
        b"unknown: x\n\n",
    ],
    ids=["nothing", "blank-lines", "no-blank-line", "no-line-end", "comment", "name-only",
         "id-and-retry", "wrong-case", "leading-space", "unknown-field"],
)  # fmt: skip
def test_this_is_no_event(stream: bytes) -> None:
    assert read(stream) == []


def test_a_name_without_data_is_not_the_next_events() -> None:
    assert messages(b"event: ping\n\ndata: x\n\n") == [b"x"]


def test_the_last_name_counts() -> None:
    assert read(b"event: a\nevent: b\ndata: x\n\n") == [SseEvent("b", b"x")]


def test_an_empty_name_is_message() -> None:
    assert read(b"event: a\nevent:\ndata: x\n\n") == [SseEvent("message", b"x")]


def test_a_name_that_is_no_utf_8_is_still_a_name() -> None:
    assert read(b"event: \xff\ndata: x\n\n") == [SseEvent("\ufffd", b"x")]


def test_colons_in_data_stay() -> None:
    assert messages(b'data:{"a":": b"}\n\n') == [b'{"a":": b"}']


@pytest.mark.parametrize(
    ("stream", "pending"),
    [
        (b"data: x\n\n", b""),
        (b"data: x\n\ndata", b"data"),
        (b"data: x\n\ndata: y\n", b"data: y\n"),
        (BOM + b"data: x\n", BOM + b"data: x\n"),
        (b"data: x\r\n\r", b""),
        (b": comment\n\n", b""),
        (b": comment\n", b": comment\n"),
    ],
    ids=["whole", "half-a-line", "half-an-event", "mark", "half-a-crlf", "comment",
         "half-a-comment"],
)  # fmt: skip
def test_pending(stream: bytes, pending: bytes) -> None:
    reader = SseReader()
    reader.feed(stream)
    assert reader.pending == pending


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("wanting", [0, 1, 2])
def test_the_last_event_of_a_stream_may_want_its_line_ends(end: bytes, wanting: int) -> None:
    reader = SseReader()
    seen = reader.feed(b"event: a" + end + b"data: x" + end * (2 - wanting))
    assert seen + reader.finish() == [SseEvent("a", b"x")]


@pytest.mark.parametrize("rest", [b"", b": bye", b"event: a\n", b"id: 1"])
def test_what_has_no_data_is_no_last_event(rest: bytes) -> None:
    reader = SseReader()
    reader.feed(b"data: x\n\n" + rest)
    assert reader.finish() == []


def test_many_short_lines_take_no_more_than_their_bytes() -> None:
    reader = SseReader()
    tracemalloc.start()
    try:
        for _ in range(16):
            reader.feed(b"a\n" * 32768)
        assert tracemalloc.get_traced_memory()[0] < 4 * 2**20
    finally:
        tracemalloc.stop()


def test_an_encoded_event() -> None:
    assert encode("ping", b"{}") == b"event: ping\ndata: {}\n\n"


@given(st.from_regex(r"[a-z_]{1,20}", fullmatch=True), st.text().map(lambda t: repr(t).encode()))
def test_an_encoded_event_is_read_back(name: str, data: bytes) -> None:
    assert read(encode(name, data)) == [SseEvent(name, data)]


def test_a_reader_for_callers_that_forward_gives_comments_too() -> None:
    raw = [b": keep-alive\n\n", b"data: 1\n\n"]
    events = SseReader(keep_raw=True).feed(b"".join(raw))
    assert [(event.data, event.raw) for event in events] == [(b"", raw[0]), (b"1", raw[1])]
