"""The client's side of a connection, fed with bytes and without a network."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http, options
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http._base import HttpEvent, ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.test import tflow

from neurolink_mitm.core.request.chunks import BAD_SIZE, NO_TRAILERS
from neurolink_mitm.dataplane.client import (
    MAX_HEAD,
    MAX_PIPELINED,
    REQUESTS_PER_TURN,
    TLS_ALERT,
    ClientConnection,
    Phase,
    error_bytes,
)
from neurolink_mitm.dataplane.compat import CANCEL
from tests.dataplane.codes import code

GET = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
POST = b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\n%b\r\n\r\n"
CHUNKED = POST % b"transfer-encoding: chunked"


class Wire:
    """A client's connection: what is sent on it, and what came of that."""

    def __init__(self) -> None:
        self.client_connection = ClientConnection(Context(tflow.tclient_conn(), options.Options()))
        self.written = b""
        self.closed = False
        self.heard: list[HttpEvent] = []
        self._take(events.Start())

    def send(self, *chunks: bytes) -> None:
        """The client sends."""
        for chunk in chunks:
            self._take(events.DataReceived(self.client_connection.conn, chunk))

    def leave(self) -> None:
        """The client hangs up."""
        self._take(events.ConnectionClosed(self.client_connection.conn))

    def say(self, *answer: HttpEvent) -> None:
        """The stream answers."""
        for event in answer:
            self._take(event)

    def say_in_this_turn(self, *answer: HttpEvent) -> None:
        """The stream answers in the turn of the loop in which it was asked."""
        for event in answer:
            self._follow(event)

    def _take(self, event: events.Event) -> None:
        self.client_connection.requests_this_turn = 0
        self._follow(event)

    def _follow(self, event: events.Event) -> None:
        for command in self.client_connection.handle_event(event):
            if isinstance(command, commands.SendData):
                assert not self.closed, "written after it was closed"
                self.written += command.data
            elif isinstance(command, commands.CloseConnection):
                self.closed = True
            elif isinstance(command, ReceiveHttp):
                self.heard.append(command.event)

    @property
    def kinds(self) -> list[type[HttpEvent]]:
        return [type(event) for event in self.heard]

    @property
    def body(self) -> bytes:
        return self.written.partition(b"\r\n\r\n")[2]

    @property
    def refused(self) -> int:
        """Status of the one error that was written, in Anthropic's form, before the end."""
        assert self.closed
        head, _, body = self.written.partition(b"\r\n\r\n")
        assert b"connection: close\r\n" in head.lower() + b"\r\n"
        assert f"content-length: {len(body)}".encode() in head.lower()
        assert json.loads(body)["type"] == "error"
        return int(head.split()[1])


@pytest.fixture
def wire() -> Wire:
    return Wire()


def response(headers: dict[str, str] | None = None) -> ResponseHeaders:
    fields = http.Headers([(k.encode(), v.encode()) for k, v in (headers or {}).items()])
    return ResponseHeaders(
        1, http.Response(b"HTTP/1.1", 200, b"OK", fields, None, None, 0.0, None), False
    )


def answer(stream_id: int = 1) -> list[HttpEvent]:
    head = response({"content-length": "2"})
    head.stream_id = stream_id
    return [head, ResponseData(stream_id, b"ok"), ResponseEndOfMessage(stream_id)]


def head_of(size: int) -> bytes:
    """A request's whole head, of so many bytes."""
    start = b"GET / HTTP/1.1\r\nhost: localhost\r\nx-filler: "
    return start + b"x" * (size - len(start) - 4) + b"\r\n\r\n"


# --- a request


def test_a_request_without_body(wire: Wire) -> None:
    wire.send(GET)
    assert wire.kinds == [RequestHeaders, RequestEndOfMessage]
    assert (wire.written, wire.closed) == (b"", False)


def test_a_request_with_body(wire: Wire) -> None:
    wire.send(POST % b"content-length: 4", b"bo", b"dy")
    data = b"".join(event.data for event in wire.heard if isinstance(event, RequestData))
    assert data == b"body"
    assert wire.kinds[-1] is RequestEndOfMessage


def test_a_request_in_chunks(wire: Wire) -> None:
    wire.send(CHUNKED, b"2\r\nbo\r\n2\r\n", b"dy\r\n0\r\n\r\n")
    data = b"".join(event.data for event in wire.heard if isinstance(event, RequestData))
    assert data == b"body"
    assert wire.kinds[-1] is RequestEndOfMessage


@given(st.lists(st.integers(0, 80), max_size=6))
def test_any_split_of_a_request_is_the_same_request(cuts: list[int]) -> None:
    sent = CHUNKED + b"4\r\nbody\r\n0\r\n\r\n"
    edges = sorted([0, *(min(cut, len(sent)) for cut in cuts), len(sent)])
    wire = Wire()
    wire.send(*(sent[start:end] for start, end in pairwise(edges)))
    assert b"".join(e.data for e in wire.heard if isinstance(e, RequestData)) == b"body"
    assert (wire.kinds[0], wire.kinds[-1]) == (RequestHeaders, RequestEndOfMessage)


@pytest.mark.parametrize("blank", [b"\r\n", b"\n", b"\r\n\r\n\n"], ids=["crlf", "lf", "several"])
def test_empty_lines_before_a_request_are_ignored(wire: Wire, blank: bytes) -> None:
    """RFC 9112 section 2.2: some clients send one after a body."""
    wire.send(blank + GET)
    assert wire.kinds == [RequestHeaders, RequestEndOfMessage]


@pytest.mark.parametrize("count", [1, 1000, 30_000])
@pytest.mark.parametrize("blank", [b"\r\n", b"\n"], ids=["crlf", "lf"])
def test_many_empty_lines_are_ignored_too(wire: Wire, count: int, blank: bytes) -> None:
    wire.send(blank * count, b"\r", b"\n" + GET)
    assert wire.kinds == [RequestHeaders, RequestEndOfMessage]


@pytest.mark.parametrize("size", [100, 65_536, 3_000_000])
def test_empty_lines_without_end_are_refused(wire: Wire, size: int) -> None:
    flood = b"\r\n" * 1_000_000
    wire.send(*(flood[at : at + size] for at in range(0, len(flood), size)))
    assert wire.refused == 431


# --- the bound of the head


def test_the_bounds_are_those_promised() -> None:
    assert (MAX_HEAD, MAX_PIPELINED) == (65_536, 1_048_576)


@pytest.mark.parametrize("pieces", [1, 7, 300])
def test_a_head_without_end_is_refused(wire: Wire, pieces: int) -> None:
    flood = b"GET / HTTP/1.1\r\nx-filler: ".ljust(MAX_HEAD + 1, b"x")
    size = len(flood) // pieces + 1
    wire.send(*(flood[at : at + size] for at in range(0, len(flood), size)))
    assert wire.refused == 431
    assert wire.heard == []


def test_a_head_may_still_end_at_the_limit(wire: Wire) -> None:
    wire.send(b"GET / HTTP/1.1\r\nx-filler: ".ljust(MAX_HEAD, b"x"))
    assert (wire.written, wire.closed) == (b"", False)


@pytest.mark.parametrize(
    "cut", [MAX_HEAD - 1, MAX_HEAD, MAX_HEAD * 2 - 100], ids=["65535", "65536", "late"]
)
def test_a_head_over_the_limit_is_refused_however_it_comes(wire: Wire, cut: int) -> None:
    head = head_of(MAX_HEAD * 2)
    wire.send(head[:cut])
    if not wire.closed:
        wire.send(head[cut:])
    assert wire.refused == 431
    assert wire.heard == []


@pytest.mark.parametrize(("more", "heard"), [(0, True), (1, False)], ids=["at", "over"])
def test_a_whole_head_at_the_limit(wire: Wire, more: int, heard: bool) -> None:
    wire.send(head_of(MAX_HEAD + more))
    assert bool(wire.heard) is heard
    assert wire.closed is not heard


def test_a_body_that_comes_with_its_head_is_not_part_of_it(wire: Wire) -> None:
    body = b"0" * MAX_HEAD * 2
    wire.send(POST % b"content-length: %d" % len(body) + body)
    assert wire.kinds[-1] is RequestEndOfMessage


def test_what_comes_after_a_refusal_is_not_heard(wire: Wire) -> None:
    wire.send(b"x" * (MAX_HEAD + 1), GET)
    assert wire.refused == 431
    assert wire.heard == []


# --- malformed


@pytest.mark.parametrize(
    "head",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
        b"GET / FTP/1.1\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"GET nowhere HTTP/1.1\r\n\r\n",
        b"CONNECT nowhere HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n: no name\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded\r\n\r\n",
        POST % b"content-length: ten",
        POST % b"content-length: -1",
        POST % (b"content-length: " + b"9" * 5000),
        POST % b"transfer-encoding: nonsense",
    ],
    ids=["nonsense", "version", "protocol", "no-target", "no-path", "no-port", "no-colon",
         "no-name", "folded", "length-in-words", "negative-length", "endless-length", "coding"],
)  # fmt: skip
def test_a_malformed_head_is_refused(wire: Wire, head: bytes) -> None:
    wire.send(head)
    assert wire.refused == 400


def test_what_was_refused_is_not_refused_again(wire: Wire) -> None:
    """mitmproxy has heard of the request, and finds it malformed itself."""
    wire.send(POST % b"content-length: ten")
    told = wire.written
    wire.say(ResponseProtocolError(1, "why", code(400)))
    assert wire.written == told


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"x" * (MAX_HEAD + 1), "request head over 64 KiB"),
        (b"NONSENSE\r\n\r\n", "malformed request line: this port speaks HTTP/1.1"),
        (CHUNKED + b"zz\r\n", f"malformed request body: {BAD_SIZE}"),
        (CHUNKED + b"0\r\nx: 1\r\n\r\n", f"malformed request body: {NO_TRAILERS}"),
        (CHUNKED + b"1;" + b"x" * MAX_HEAD, f"malformed request body: {BAD_SIZE}"),
    ],
    ids=["long-head", "head", "body", "trailers", "long-size"],
)
def test_a_refusal_says_why(wire: Wire, sent: bytes, message: str) -> None:
    wire.send(sent)
    _, _, body = wire.written.partition(b"\r\n\r\n")
    assert json.loads(body)["error"]["message"] == message


def test_a_refusal_does_not_repeat_what_was_sent(wire: Wire) -> None:
    wire.send(b"sk-ant-secret\r\n\r\n")
    assert wire.refused == 400
    assert b"secret" not in wire.written


@pytest.mark.parametrize(
    "body",
    [b"zz\r\n", b"-1\r\n", b"0\r\nx-trailer: 1\r\n\r\n", b"0\r\nno colon\r\n\r\n",
     b"1;" + b"x" * (MAX_HEAD + 1), b"0\r\nx: " + b"x" * (MAX_HEAD + 1)],
    ids=["no-size", "negative-size", "trailer", "bad-trailer", "endless-size", "endless-trailer"],
)  # fmt: skip
def test_a_malformed_body_is_refused(wire: Wire, body: bytes) -> None:
    wire.send(CHUNKED, body)
    assert wire.refused == 400
    assert wire.kinds[-1] is RequestProtocolError


def test_nothing_of_what_has_come_before_a_fault_is_passed_on_with_it(wire: Wire) -> None:
    wire.send(CHUNKED + b"2\r\nok\r\nzz\r\n")
    assert wire.kinds == [RequestHeaders, RequestProtocolError]


def test_a_body_that_breaks_after_its_answer_has_begun_is_only_closed(wire: Wire) -> None:
    """Like one that was too large and is being told so: a second answer would be nobody's."""
    wire.send(CHUNKED)
    wire.say(*answer()[:2])
    told, heard = wire.written, len(wire.heard)
    wire.send(b"zz\r\n", b"zz\r\n")
    assert (wire.written, wire.closed) == (told, True)
    assert wire.kinds[heard:] == [RequestProtocolError]


def test_a_body_that_breaks_after_its_answer_is_only_closed(wire: Wire) -> None:
    wire.send(CHUNKED)
    wire.say(*answer())
    told = wire.written
    wire.send(b"zz\r\n")
    assert (wire.written, wire.closed) == (told, True)


@pytest.mark.parametrize(("more", "refused"), [(0, False), (1, True)], ids=["at", "over"])
def test_the_line_of_a_chunks_size_is_bounded(wire: Wire, more: int, refused: bool) -> None:
    wire.send(CHUNKED, b"1;".ljust(MAX_HEAD + more, b"x"))
    assert wire.closed is refused


def test_what_was_refused_is_not_refused_again_by_the_stream(wire: Wire) -> None:
    wire.send(CHUNKED, b"zz\r\n")
    told = wire.written
    wire.say(ResponseProtocolError(1, "why", code(400)))
    assert wire.written == told


def test_a_client_that_leaves_in_mid_body_is_told_nothing(wire: Wire) -> None:
    wire.send(POST % b"content-length: 4", b"bo")
    wire.leave()
    assert (wire.written, wire.closed) == (b"", True)
    assert wire.kinds[-1] is RequestProtocolError


@given(st.binary(max_size=200), st.sampled_from([b"", CHUNKED, POST % b"content-length: 4", GET]))
def test_no_bytes_make_it_raise(sent: bytes, before: bytes) -> None:
    Wire().send(before, sent, sent)


# --- what is no HTTP


@pytest.mark.parametrize(
    "sent",
    [b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x16\x03\x01\r\n\r\n"],
    ids=["first-byte", "hello", "with-an-empty-line"],
)
def test_tls_is_answered_by_an_alert(wire: Wire, sent: bytes) -> None:
    wire.send(sent)
    assert (wire.written, wire.closed, wire.heard) == (TLS_ALERT, True, [])


@pytest.mark.parametrize(
    "sent",
    [b"SSH-2.0-OpenSSH_9.6\r\n", b"\x05\x01\x00", b"\x04\x01\x00\x50", b"PING\r\n",
     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"EHLO x\r\n", b"GET /\r\n", b"A" * 40],
    ids=["ssh", "socks5", "socks4", "redis", "http2", "smtp", "http-0.9", "endless"],
)  # fmt: skip
def test_other_protocols_are_refused_at_once(wire: Wire, sent: bytes) -> None:
    wire.send(sent)
    assert wire.refused == 400


@pytest.mark.parametrize(
    "line",
    [b"CONNECT api.anthropic.com:443 HTTP/1.1", b"GET http://localhost/ HTTP/1.1"],
    ids=["connect", "absolute"],
)
def test_it_is_no_forward_proxy(wire: Wire, line: bytes) -> None:
    wire.send(line + b"\r\nhost: localhost\r\n\r\n")
    assert wire.refused == 400
    assert b"ANTHROPIC_BASE_URL" in wire.body


@pytest.mark.parametrize(
    "field", [b"x: a\rb", b"x: a\0b", b"x: a\r\n b", b"x y: 1", b"x : 1", b"content-length: 1, 1"]
)
def test_a_head_that_two_could_read_differently_is_refused(wire: Wire, field: bytes) -> None:
    wire.send(POST % field)
    assert wire.refused == 400
    assert wire.heard == []


def test_who_was_refused_may_say_the_rest(wire: Wire) -> None:
    """And sees the answer: unread bytes would make a reset of the end."""
    wire.send(b"NONSENSE\r\n", b"x" * 100_000)
    assert len(wire.client_connection.buf) == 0
    assert wire.client_connection.phase is Phase.LEAVING
    wire.leave()
    assert wire.client_connection.phase is Phase.CLOSED


# --- what is sent ahead


def test_what_is_sent_ahead_waits_for_its_turn(wire: Wire) -> None:
    wire.send(GET + GET)
    assert wire.kinds == [RequestHeaders, RequestEndOfMessage]
    wire.say(*answer())
    assert [event.stream_id for event in wire.heard] == [1, 1, 3, 3]


@pytest.mark.parametrize(("more", "closed"), [(0, False), (1, True)], ids=["at", "over"])
def test_a_flood_sent_ahead_is_hung_up_on(wire: Wire, more: int, closed: bool) -> None:
    wire.send(GET, b"x" * (MAX_PIPELINED - 1), b"x" * (1 + more))
    assert (wire.closed, wire.written) == (closed, b"")


def test_a_client_that_leaves_while_it_is_answered_is_missed(wire: Wire) -> None:
    wire.send(GET)
    wire.leave()
    assert wire.kinds[-1] is RequestProtocolError


def test_a_crowd_of_requests_sent_ahead_is_begun_over_several_turns(wire: Wire) -> None:
    for turn in range(3):
        wire.send(GET * REQUESTS_PER_TURN * 3 if turn == 0 else b"")
        for request in range(REQUESTS_PER_TURN):
            wire.client_connection.requests_this_turn = request + 1
            wire.say_in_this_turn(*answer(1 + 2 * (turn * REQUESTS_PER_TURN + request)))
        begun = [e.stream_id for e in wire.heard if isinstance(e, RequestHeaders)]
        assert len(begun) == REQUESTS_PER_TURN * (turn + 1)


# --- an answer


def test_an_answer(wire: Wire) -> None:
    wire.send(GET)
    wire.say(*answer())
    assert wire.written == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    assert not wire.closed


@pytest.mark.parametrize("coding", ["chunked", "Chunked", "gzip, chunked"])
def test_an_answer_in_chunks(wire: Wire, coding: str) -> None:
    wire.send(GET)
    head = response({"transfer-encoding": coding})
    wire.say(head, ResponseData(1, b"x" * 17), ResponseData(1, b"end"), ResponseEndOfMessage(1))
    _, _, body = wire.written.partition(b"\r\n\r\n")
    assert body == b"11\r\n" + b"x" * 17 + b"\r\n3\r\nend\r\n0\r\n\r\n"


def test_nothing_in_mid_answer_is_not_the_last_chunk(wire: Wire) -> None:
    wire.send(GET)
    wire.say(response({"content-length": "2"}), ResponseData(1, b""), ResponseData(1, b"ok"))
    assert wire.written.endswith(b"\r\n\r\nok")


def test_the_next_answer_is_chunked_or_not_by_its_own_head(wire: Wire) -> None:
    wire.send(GET + GET)
    wire.say(response({"transfer-encoding": "chunked"}), ResponseEndOfMessage(1))
    wire.written = b""
    wire.say(*answer(3))
    assert wire.written.endswith(b"\r\n\r\nok")


@pytest.mark.parametrize(
    ("method", "status", "fields", "kept"),
    [
        ("HEAD", 200, {"content-length": "2"}, True),
        ("HEAD", 401, {"content-length": "2"}, True),
        ("HEAD", 200, {"transfer-encoding": "chunked"}, True),
        ("GET", 204, {"content-length": "2"}, False),
        ("GET", 204, {"transfer-encoding": "chunked"}, False),
        ("GET", 304, {"content-length": "2"}, True),
    ],
)
def test_an_answer_without_body(
    wire: Wire, method: str, status: int, fields: dict[str, str], kept: bool
) -> None:
    """RFC 9110 section 6.4.1; what the stream has of one is not sent, or it would be read as the next answer."""
    wire.send(GET.replace(b"GET", method.encode()) + GET)
    head = response(fields)
    head.response.status_code = status
    wire.say(head, ResponseData(1, b"ok"), ResponseEndOfMessage(1))
    told, _, body = wire.written.partition(b"\r\n\r\n")
    assert body == b""
    assert (next(iter(fields)).encode() in told) is kept
    assert wire.heard[-1].stream_id == 3


def test_the_answer_after_a_head_has_its_body(wire: Wire) -> None:
    wire.send(GET.replace(b"GET", b"HEAD") + GET)
    wire.say(*answer())
    wire.say(*answer(3))
    assert wire.written.count(b"ok") == 1


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"HEAD / HTTP/1.1\r\nx y: 1\r\n\r\n", 400),
        (b"HEAD http://localhost/ HTTP/1.1\r\n\r\n", 400),
        (b"HEAD / HTTP/1.1\r\ncontent-length: x\r\n\r\n", 400),
    ],
    ids=["field", "target", "length"],
)
def test_the_refusal_of_a_head_has_no_body(wire: Wire, head: bytes, status: int) -> None:
    wire.send(head)
    assert wire.written.startswith(b"HTTP/1.1 %d " % status)
    assert wire.body == b""
    assert wire.closed


def test_to_go_on_is_not_the_answer(wire: Wire) -> None:
    wire.send(POST % b"transfer-encoding: chunked\r\nexpect: 100-continue")
    go_on = response()
    go_on.response.status_code = 100
    wire.say(go_on)
    assert wire.written.startswith(b"HTTP/1.1 100 ")
    wire.written = b""
    wire.send(b"zz\r\n")
    assert wire.refused == 400


def test_a_goodbye_amid_the_body_lets_the_client_leave(wire: Wire) -> None:
    wire.send(POST % b"content-length: 100")
    wire.say(response({"content-length": "0", "connection": "close"}), ResponseEndOfMessage(1))
    assert wire.client_connection.phase is Phase.LEAVING


def test_an_answer_that_says_goodbye_is_the_last(wire: Wire) -> None:
    wire.send(GET)
    wire.say(response({"content-length": "0", "connection": "close"}), ResponseEndOfMessage(1))
    assert wire.closed


@pytest.mark.parametrize("status", [400, 413, 502])
def test_an_error_of_mitmproxys_is_told_in_anthropics_form(wire: Wire, status: int) -> None:
    wire.send(GET)
    wire.say(ResponseProtocolError(1, "why", code(status)))
    assert wire.refused == status
    assert b'"message":"why"' in wire.written


def test_an_error_in_mid_answer_only_ends_the_connection(wire: Wire) -> None:
    wire.send(GET)
    wire.say(response({"transfer-encoding": "chunked"}))
    told = wire.written
    wire.say(ResponseProtocolError(1, "why", code(502)))
    assert (wire.written, wire.closed) == (told, True)


def test_a_cancelled_answer_ends_the_connection_without_a_word(wire: Wire) -> None:
    wire.send(GET)
    wire.say(ResponseProtocolError(1, "why", CANCEL))
    assert (wire.written, wire.closed) == (b"", True)


# --- where it stands


@pytest.mark.parametrize(
    ("sent", "phase"),
    [
        ([], Phase.IDLE),
        ([b"\r\n"], Phase.IDLE),
        ([GET[:5]], Phase.HEAD),
        ([GET], Phase.BUSY),
        ([POST % b"content-length: 4"], Phase.BODY),
        ([POST % b"content-length: 4", b"bod"], Phase.BODY),
        ([POST % b"content-length: 4", b"body"], Phase.BUSY),
        ([b"x" * (MAX_HEAD + 1)], Phase.LEAVING),
    ],
    ids=["nothing", "empty-line", "half-a-head", "request", "no-body", "half-a-body", "body", "refused"],
)  # fmt: skip
def test_where_it_stands(wire: Wire, sent: list[bytes], phase: Phase) -> None:
    wire.send(*sent)
    assert wire.client_connection.phase is phase


@pytest.mark.parametrize(
    ("status", "error_type"),
    [
        (400, "invalid_request_error"),
        (408, "timeout_error"),
        (413, "request_too_large"),
        (431, "invalid_request_error"),
        (502, "api_error"),
    ],
)
def test_an_error_is_named_as_anthropic_would(status: int, error_type: str) -> None:
    _, _, body = error_bytes(status, "why").partition(b"\r\n\r\n")
    assert json.loads(body)["error"] == {"type": error_type, "message": "why"}


@pytest.mark.parametrize(
    ("line", "openais"),
    [
        (b"POST /v1/chat/completions HTTP/1.1", True),
        (b"POST /v1/responses HTTP/1.1\r\nx: 1", True),
        (b"POST /v1/messages HTTP/1.1", False),
        (b"POST ", False),
        (b"\xff\xfe \xff", False),
        (b"", False),
    ],
)
def test_an_error_has_the_form_of_the_api(line: bytes, openais: bool) -> None:
    head, _, body = error_bytes(431, "why", line=line).partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) in head
    assert ("param" in json.loads(body)["error"]) == openais
