"""Upstream's side of a connection, fed with bytes and without a network."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import options
from mitmproxy.connection import ConnectionState, Server
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._base import HttpEvent, ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    RequestEndOfMessage,
    RequestHeaders,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.test import tflow, tutils

from neurolink_mitm.core.request.chunks import MANY
from neurolink_mitm.dataplane.upstream import MAX_FIELDS, MAX_HEAD, MAX_INTERIM, UpstreamConnection

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"


class Wire:
    """A connection to upstream on which one request has been sent."""

    def __init__(self, method: str = "POST", *, asked: bool = True) -> None:
        context = Context(tflow.tclient_conn(), options.Options())
        context.server = Server(address=("upstream.test", 80))
        context.server.state = ConnectionState.OPEN
        self.back = UpstreamConnection(context)
        self.heard: list[HttpEvent] = []
        self.closed = False
        self._take(events.Start())
        if asked:
            request = tutils.treq(method=method.encode(), headers=(), content=None)
            self._take(RequestHeaders(1, request, True))
            self._take(RequestEndOfMessage(1))

    def send(self, *chunks: bytes) -> Wire:
        """Upstream sends."""
        for chunk in chunks:
            if chunk and not self.closed:
                self._take(events.DataReceived(self.back.conn, chunk))
        return self

    def leave(self) -> Wire:
        """Upstream hangs up."""
        self.back.conn.state = ConnectionState.CAN_WRITE
        self._take(events.ConnectionClosed(self.back.conn))
        return self

    def _take(self, event: events.Event) -> None:
        for command in self.back.handle_event(event):
            if isinstance(command, commands.CloseConnection):
                self.closed = True
            elif isinstance(command, ReceiveHttp):
                self.heard.append(command.event)

    @property
    def head(self) -> ResponseHeaders:
        [head] = [event for event in self.heard if isinstance(event, ResponseHeaders)]
        return head

    @property
    def body(self) -> bytes:
        return b"".join(e.data for e in self.heard if isinstance(e, ResponseData))

    @property
    def whole(self) -> bool:
        ends = [isinstance(event, ResponseEndOfMessage) for event in self.heard]
        assert sum(ends) == ends[-1:].count(True), "something follows the end"
        return any(ends)

    @property
    def fault(self) -> str:
        """Why it was broken off; the last thing that is heard."""
        assert self.closed
        last = self.heard[-1]
        assert isinstance(last, ResponseProtocolError)
        assert not any(isinstance(event, ResponseProtocolError) for event in self.heard[:-1])
        assert len(last.message) < 200
        return last.message


# --- interim answers


@pytest.mark.parametrize(
    "before",
    [b"", INTERIM, b"HTTP/1.1 100 Continue\r\n\r\n", INTERIM * MAX_INTERIM, b"\r\n", b"\n\r\n",
     b"\r\n" + INTERIM + b"\r\n" + INTERIM, b"HTTP/1.1 199 \r\ncontent-length: 3\r\n\r\n"],
    ids=["none", "hints", "continue", "many", "empty-line", "empty-lines", "mixed", "odd"],
)  # fmt: skip
def test_the_final_answer_follows(before: bytes) -> None:
    wire = Wire().send(before + OK)
    assert (wire.head.response.status_code, wire.body, wire.whole) == (200, b"ok", True)
    assert not wire.closed


@pytest.mark.parametrize(
    "piece",
    [INTERIM, b"HTTP/1.1 103 x\r\nlink: " + b"a" * 5000 + b"\r\n\r\n"],
    ids=["small", "big"],
)
def test_interim_answers_are_bounded(piece: bytes) -> None:
    wire = Wire()
    for _ in range(MAX_INTERIM + 2):
        wire.send(piece)
    assert "interim" in wire.fault or "64 KiB" in wire.fault


def test_another_protocol_is_no_answer() -> None:
    wire = Wire().send(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\nhello")
    assert "protocol" in wire.fault


@given(st.lists(st.integers(0, 250), max_size=8))
def test_any_split_is_the_same_answer(cuts: list[int]) -> None:
    sent = INTERIM + CHUNKED + b"2;x=y\r\nbo\r\n2\r\ndy\r\n0\r\nx-checksum: 7\r\n\r\n"
    edges = sorted([0, *(min(cut, len(sent)) for cut in cuts), len(sent)])
    wire = Wire().send(*(sent[a:b] for a, b in pairwise(edges)))
    assert (wire.body, wire.whole, wire.closed) == (b"body", True, False)


@pytest.mark.parametrize(
    ("rest", "why"),
    [(b"zz\r\n", "b'zz"), (b"2\r\nokno", "longer"), (b"0\r\n" + b"x: y\r\n" * 20_000, "trailers")],
    ids=["size", "end", "trailers"],
)
def test_what_comes_before_a_fault_is_passed_on_first(rest: bytes, why: str) -> None:
    wire = Wire().send(CHUNKED + b"2\r\nok\r\n" + rest)
    assert wire.body.startswith(b"ok")
    assert why in wire.fault


def test_a_fault_is_told_once() -> None:
    """More may have been read by then."""
    wire = Wire().send(CHUNKED + b"zz\r\n")
    wire.closed = False
    wire.send(b"zz\r\n")
    assert len(wire.heard) == 2  # head and fault


def test_an_answer_may_come_in_any_number_of_tiny_chunks() -> None:
    wire = Wire().send(CHUNKED + b"1\r\nx\r\n" * (2 * MANY) + b"0\r\n\r\n")
    assert (len(wire.body), wire.whole) == (2 * MANY, True)


# --- bounds


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b"x" * 1000),
        (b"", b"\r\n" * 500),
        (b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nx-a: ", b"b" * 1000),
        (b"HTTP/1.1 200 ", b"b" * 1000),
        (CHUNKED, b"0" * 1000),
        (CHUNKED + b"5;", b"x" * 1000),
        (CHUNKED + b"2\r\nok\r\n0\r\n", b"x-a: b\r\n" * 100),
        (CHUNKED + b"2\r\nok\r\n0\r\nx: ", b"x" * 1000),
    ],
    ids=["no-line", "empty-lines", "fields", "one-field", "reason", "chunk-size", "extension",
         "trailers", "one-trailer"],
)  # fmt: skip
def test_nothing_goes_on_without_end(start: bytes, piece: bytes) -> None:
    wire = Wire().send(start)
    sent = 0
    while not wire.closed and sent < 4 * MAX_HEAD:
        wire.send(piece)
        sent += len(piece)
    assert sent <= MAX_HEAD + 2000
    assert wire.fault
    assert not wire.whole


@pytest.mark.parametrize("line", [b"x-a: b\r\n", b" folded\r\n"], ids=["fields", "folds"])
def test_a_head_of_very_many_lines_is_none(line: bytes) -> None:
    wire = Wire().send(b"HTTP/1.1 200 OK\r\nx-a: b\r\n" + line * MAX_FIELDS + b"\r\n")
    assert "lines" in wire.fault


def test_a_head_may_come_with_a_long_body() -> None:
    wire = Wire().send(b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + b"x" * 200_000)
    assert (len(wire.body), wire.whole) == (200_000, True)


# --- what is an answer


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"HTTP/1.1 429 ", 429), (b"HTTP/1.1 429", 429), (b"HTTP/1.0 200 OK", 200),
        (b"HTTP/1.2 200 OK", 200), (b"HTTP/1.1  200 \xff\x00\r!", 200),
    ],
    ids=["no-reason", "no-space", "1.0", "1.2", "odd-reason"],
)  # fmt: skip
def test_status_lines(line: bytes, status: int) -> None:
    wire = Wire().send(line + b"\r\ncontent-length: 2\r\n\r\nok")
    assert (wire.head.response.status_code, wire.body, wire.whole) == (status, b"ok", True)
    assert b"\r" not in wire.head.response.data.reason


@pytest.mark.parametrize(
    "line",
    [b"HTTP/2.0 200 OK", b"HTTP/0.9 200 OK", b"HTTP/11 200", b"http/1.1 200 OK", b"ICY 200 OK",
     b"HTTP/1.1 OK", b"HTTP/1.1 +20 OK", b"HTTP/1.1 2_0 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 99",
     b"HTTP/1.1 0", b"HTTP/1.1 -200", b"HTTP/1.1 999 no", b"HTTP/1.1", b"<html>", b" ",
     b"\x15\x03\x01\x00\x02\x02\x28"],
)  # fmt: skip
def test_these_are_no_status_lines(line: bytes) -> None:
    assert "first line" in Wire().send(line + b"\r\ncontent-length: 2\r\n\r\nok").fault


@pytest.mark.parametrize(
    ("field", "passed"),
    [
        (b"x-a: 1\r\n  2\r\n\t3", (b"x-a", b"1 2 3")),
        (b"x-a : 1", (b"x-a", b"1")),
        (b"x-a:", (b"x-a", b"")),
        (b"x-a: \xe9\t", (b"x-a", b"\xe9")),
    ],
    ids=["folded", "space-before-colon", "empty", "latin"],
)
def test_fields_that_can_be_passed_on(field: bytes, passed: tuple[bytes, bytes]) -> None:
    wire = Wire().send(b"HTTP/1.1 204 x\r\n" + field + b"\r\n\r\n")
    assert wire.head.response.headers.fields == (passed,)


@pytest.mark.parametrize(
    "field",
    [b"x a: 1", b": 1", b"no colon", b" x-a: 1", b"x-a: 1\r2", b"x-a: \x002", b"x(a): 1"],
    ids=["space", "no-name", "no-colon", "fold-first", "cr", "nul", "odd-name"],
)
def test_fields_that_can_not(field: bytes) -> None:
    assert Wire().send(b"HTTP/1.1 200 OK\r\n" + field + b"\r\ncontent-length: 0\r\n\r\n").fault


# --- how long the body is


@pytest.mark.parametrize(
    ("fields", "body", "left"),
    [
        (b"content-length: 2\r\ncontent-length: 2", b"ok", [b"content-length"]),
        (b"content-length: 2, 2", b"ok", [b"content-length"]),
        (b"content-length: 9\r\ntransfer-encoding: chunked", b"2\r\nok\r\n0\r\n\r\n",
         [b"transfer-encoding"]),
    ],
    ids=["twice", "listed", "chunked"],
)  # fmt: skip
def test_one_word_on_the_length_is_left(fields: bytes, body: bytes, left: list[bytes]) -> None:
    wire = Wire().send(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\n" + body)
    assert (wire.body, wire.whole, wire.closed) == (b"ok", True, False)
    assert [name for name, _ in wire.head.response.headers.fields] == left


@pytest.mark.parametrize(
    "fields",
    [b"content-length: 2\r\ncontent-length: 3", b"content-length: 2,3", b"content-length: -1",
     b"content-length: two", b"transfer-encoding: xchunked", b"transfer-encoding: chunked, chunked"],
)  # fmt: skip
def test_a_length_that_is_not_clear_is_a_fault(fields: bytes) -> None:
    assert Wire().send(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\nok").fault


@pytest.mark.parametrize(
    ("method", "status", "fields"),
    [
        ("POST", 204, b"transfer-encoding: chunked"),
        ("POST", 204, b"content-length: 5"),
        ("POST", 304, b"transfer-encoding: chunked"),
        ("POST", 304, b"content-length: 5"),
        ("HEAD", 200, b"content-length: 5"),
        ("HEAD", 200, b"transfer-encoding: chunked"),
    ],
)
def test_answers_without_a_body(method: str, status: int, fields: bytes) -> None:
    wire = Wire(method).send(b"HTTP/1.1 %d x\r\n%b\r\n\r\n" % (status, fields))
    assert (wire.head.end_stream, wire.body, wire.whole, wire.closed) == (True, b"", True, False)
    chunks = "transfer-encoding" in wire.head.response.headers
    assert not chunks or method == "HEAD"  # the client would be sent the end of chunks


@pytest.mark.parametrize(
    ("transfer", "content", "told", "left"),
    [
        ("gzip, chunked", "", "gzip", "chunked"),
        ("GZIP,chunked", "br", "br, gzip", "chunked"),
        ("gzip", "", "gzip", None),
        ("identity", "", None, None),
        ("chunked", "br", "br", "chunked"),
    ],
)
def test_a_coding_of_the_transfer_is_one_of_the_content(
    transfer: str, content: str, told: str | None, left: str | None
) -> None:
    coding = f"content-encoding: {content}\r\n" if content else ""
    wire = Wire().send(f"HTTP/1.1 200 x\r\n{coding}transfer-encoding: {transfer}\r\n\r\n".encode())
    fields = wire.head.response.headers
    assert (fields.get("content-encoding"), fields.get("transfer-encoding")) == (told, left)


@pytest.mark.parametrize(
    "rest", [b"more", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"], ids=["garbage", "answer"]
)
def test_what_follows_the_end_is_not_read(rest: bytes) -> None:
    wire = Wire().send(OK + rest)
    assert (wire.body, wire.whole, wire.closed) == (b"ok", True, True)


@pytest.mark.parametrize("sent", [OK, b"x", b"\r\n"])
def test_nobody_has_asked(sent: bytes) -> None:
    wire = Wire(asked=False).send(sent)
    assert (wire.closed, wire.heard) == (True, [])


@pytest.mark.parametrize(
    "sent",
    [b"", b"HTTP/1.1 200", INTERIM, OK[:-1], CHUNKED, CHUNKED + b"2\r\nok\r\n",
     CHUNKED + b"2\r\nok\r\n0\r\n", CHUNKED + b"2\r\nok\r\n0\r\nx: 1\r\n", CHUNKED + b"2\r\nokno"],
    ids=["nothing", "half-a-head", "interim", "half-a-body", "no-chunk", "no-last-chunk", "no-end",
         "half-a-trailer", "bad-chunk"],
)  # fmt: skip
def test_what_is_cut_is_not_whole(sent: bytes) -> None:
    wire = Wire().send(sent)
    if not wire.closed:
        wire.leave()
    assert not wire.whole
    assert wire.fault


def test_without_a_length_the_end_is_the_end() -> None:
    wire = Wire().send(b"HTTP/1.1 200 OK\r\n\r\n", b"o", b"k").leave()
    assert (wire.body, wire.whole) == (b"ok", True)
