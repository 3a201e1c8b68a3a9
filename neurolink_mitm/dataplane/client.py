"""The connection to the client: mitmproxy's HTTP/1.1 server with bounds, and with errors in Anthropic's format."""

from __future__ import annotations

import enum
import logging
import re
from collections.abc import Callable
from typing import ClassVar

from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layer import CommandGenerator
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
from mitmproxy.proxy.layers.http._http1 import Http1Server, make_body_reader

from neurolink_mitm.core.exchange import Reply
from neurolink_mitm.core.openai.api import Api, api_of
from neurolink_mitm.core.openai.errors import encoded, error_in_openai_form
from neurolink_mitm.core.request import head as request_head
from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request.chunks import Chunks
from neurolink_mitm.dataplane.compat import CLIENT_LEFT, status_of
from neurolink_mitm.dataplane.hooks import error_response
from neurolink_mitm.dataplane.throttled_warning import ThrottledWarning

logger = logging.getLogger("neurolink.clients")

MAX_HEAD = 64 * 1024
"""Bytes of a request's head."""
MAX_PIPELINED = 1024 * 1024
"""Bytes that a client may send ahead while a request is being answered."""
LONGEST_LINE = 256
"""Bytes of a request line that tell the API whose form an error has."""
REQUESTS_PER_TURN = 1
"""Requests of one client that begin in one turn of the event loop, so that other clients get theirs."""
TLS_ALERT = b"\x15\x03\x01\x00\x02\x02\x28"
"""Fatal, `handshake_failure`: RFC 8446 section 6."""

_EMPTY_LINES = re.compile(rb"(?:\r?\n)++")
_TLS = b"\x16"
"""First byte of a TLS handshake; no method begins with it."""
_TYPES = {408: "timeout_error", 413: "request_too_large", 502: "api_error"}


class Phase(enum.Enum):
    """The phase of a client's connection; each has its timeout."""

    IDLE = "idle"  # between requests
    HEAD = "head"  # a head has begun
    BODY = "body"
    BUSY = "busy"  # the request is being answered
    LEAVING = "leaving"  # our side is closed, and the client is to close its own
    CLOSED = "closed"


_PHASES = {
    "start": Phase.IDLE,
    "read_headers": Phase.IDLE,
    "read_body": Phase.BODY,
    "leaving": Phase.LEAVING,
    "done": Phase.CLOSED,
}
"""By the name of the state; any other is `BUSY`. Looked up for each chunk of a response."""


def error_bytes(status: int, message: str, *, head_only: bool = False, line: bytes = b"") -> bytes:
    """Return an error response with `connection: close`, in the form of the API that the request `line` names."""
    error_type = _TYPES.get(status, "invalid_request_error")
    response = error_response(Reply(status, error_type, message))
    response.headers["connection"] = "close"
    if (api := _api_of(line)) is not Api.ANTHROPIC:
        response.content = encoded(error_in_openai_form(response.content or b"", status, api))
    if head_only:
        raw: bytes = http1.assemble_response_head(response)
    else:
        raw = http1.assemble_response(response)
    return raw


def _api_of(line: bytes) -> Api:
    """Return the API of a request line; what follows it does not count."""
    method, _, target = line.decode("latin-1").partition(" ")
    return api_of(method, target.split()[0]) if target.strip() else Api.ANTHROPIC


def _chunk(data: bytes) -> bytes:
    """Return `data` as a chunk, RFC 9112 section 7.1."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _has_body(method: bytes, status: int) -> bool:
    """Whether a response has a body, RFC 9110 section 6.4.1. After 101 the connection has another protocol."""
    informational = status < 200 and status != 101
    return method.upper() != b"HEAD" and not informational and status not in (204, 304)


class ClientConnection(Http1Server):
    """Reads requests and answers one at a time; pipelined ones wait."""

    _chunked = False
    _bodiless = False
    """The current response has no body, whatever the stream sends."""
    _refused = False
    _head_only = False
    """The current request is a HEAD."""
    _line = b""
    """The beginning of the request's head."""
    _empty = 0
    """Bytes of empty lines before the request."""
    _chunks: Chunks | None = None
    _tls_spoken: ClassVar = ThrottledWarning(
        logger, "a client speaks TLS to this port, which is plain HTTP: its URL has to be http://…"
    )
    requests_this_turn = 0
    """Requests that began in this turn of the event loop."""
    ends_soon: Callable[[], bool] = staticmethod(lambda: False)
    """Whether the proxy is about to stop, so that the client asks its next request on another connection."""
    deferred = False
    """A request may be waiting for the next turn of the event loop."""

    # The head

    def read_headers(self, event: events.ConnectionEvent) -> CommandGenerator[None]:
        if not isinstance(event, events.DataReceived):
            yield commands.CloseConnection(self.conn)
            return
        self.deferred = self.requests_this_turn >= REQUESTS_PER_TURN
        if self.deferred:
            return
        self._skip_empty_lines()
        before = len(self.buf)
        lines = self.buf.maybe_extract_lines()
        self._line = bytes(lines[0] if lines else self.buf)[:LONGEST_LINE]
        if self._empty + before - (len(self.buf) if lines else 0) > MAX_HEAD:
            yield from self.refuse(431, f"request head over {MAX_HEAD // 1024} KiB")
        elif lines:
            yield from self._take_head([bytes(line) for line in lines])
        elif self.buf:
            yield from self._judge_opening(bytes(self.buf))

    def _skip_empty_lines(self) -> None:
        """RFC 9112 section 2.2: some clients send one after a body."""
        empty = _EMPTY_LINES.match(bytes(self.buf))
        if empty:
            self._empty += empty.end()
            self.buf.maybe_extract_at_most(empty.end())

    def _judge_opening(self, data: bytes) -> CommandGenerator[None]:
        if data.startswith(_TLS):
            self._refused = True
            self._tls_spoken.warn()
            yield commands.SendData(self.conn, TLS_ALERT)
            yield from self._leave()
        elif found := request_head.opening_fault(data):
            yield from self.refuse(found.status, found.message)

    def _take_head(self, lines: list[bytes]) -> CommandGenerator[None]:
        self._head_only = lines[0][:5].upper() == b"HEAD "
        if lines[0].startswith(_TLS):
            yield from self._judge_opening(lines[0])
        elif found := request_head.fault(lines):
            yield from self.refuse(found.status, found.message)
        else:
            yield from self._begin_request(lines)

    def _begin_request(self, lines: list[bytes]) -> CommandGenerator[None]:
        self._empty = 0
        self.requests_this_turn += 1
        request = http1.read_request_head(lines)
        try:
            size = request_head.body_size(request.headers.fields, http10=request.is_http10)
        except ValueError as e:
            yield from self.refuse(400, str(e))
            return
        self.request = request
        self._chunks = Chunks() if size is None else None
        self.body_reader = make_body_reader(size)
        self.state = self.read_body
        yield ReceiveHttp(RequestHeaders(self.stream_id, request, size == 0))
        if self.state == self.read_body:
            yield from self.state(events.DataReceived(self.conn, b""))

    # The body

    def read_body(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, events.ConnectionClosed):
            yield from self.close()
            left = "the client left before the end of its request"
            yield ReceiveHttp(RequestProtocolError(self.stream_id, left, CLIENT_LEFT))
        elif self._chunks is None:
            yield from super().read_body(event)
        else:
            yield from self._read_chunks(self._chunks)

    def _read_chunks(self, chunks: Chunks) -> CommandGenerator[None]:
        data, used = chunks.feed(bytes(self.buf))
        self.buf.maybe_extract_at_most(used)
        if chunks.fault:
            yield from self._refuse_body(f"malformed request body: {chunks.fault}")
            return
        if data:
            yield ReceiveHttp(RequestData(self.stream_id, data))
        if chunks.done and self.state == self.read_body:
            yield ReceiveHttp(RequestEndOfMessage(self.stream_id))
            yield from self.mark_done(request=True)

    def _refuse_body(self, message: str) -> CommandGenerator[None]:
        if self.response:  # it has begun already
            yield commands.CloseConnection(self.conn)
            self.state = self.done
        else:
            yield from self.refuse(400, message)
        yield ReceiveHttp(RequestProtocolError(self.stream_id, message, CLIENT_LEFT))

    def wait(self, event: events.Event) -> CommandGenerator[None]:
        yield from super().wait(event)
        if len(self.buf) > MAX_PIPELINED and self.state == self.wait:
            yield commands.CloseConnection(self.conn)

    # The answer

    def send(self, event: HttpEvent) -> CommandGenerator[None]:
        if isinstance(event, ResponseData):
            if event.data and not self._bodiless:  # the parent asks the headers each time
                data = _chunk(event.data) if self._chunked else event.data
                yield commands.SendData(self.conn, data)
        elif isinstance(event, ResponseHeaders):
            yield from self._send_head(event)
        elif isinstance(event, ResponseEndOfMessage):
            yield from self._end_answer()
        elif not (isinstance(event, ResponseProtocolError) and self._refused):
            yield from self._send_error(event)

    def _send_head(self, event: ResponseHeaders) -> CommandGenerator[None]:
        assert self.request
        response = event.response
        status = response.status_code
        self._bodiless = not _has_body(self.request.data.method, status)
        if status < 200 or status == 204:  # RFC 9110 section 8.6, RFC 9112 section 6.1
            response.headers.pop("content-length", None)
            response.headers.pop("transfer-encoding", None)
        coding = headers.get(response.headers.fields, b"transfer-encoding") or ""
        self._chunked = not self._bodiless and "chunked" in coding.lower()
        if status < 200 and status != 101:  # an interim response
            yield commands.SendData(self.conn, http1.assemble_response_head(response))
        else:
            if self.ends_soon() and status != 101:
                response.headers["connection"] = "close"
            yield from super().send(event)

    def _end_answer(self) -> CommandGenerator[None]:
        if self._chunked:
            yield commands.SendData(self.conn, b"0\r\n\r\n")
        if self.request_done or not self._closes():
            yield from self.mark_done(response=True)
        else:
            yield from self._leave()

    def _closes(self) -> bool:
        assert self.response
        return bool(http1.connection_close(self.response.http_version, self.response.headers))

    def _send_error(self, event: HttpEvent) -> CommandGenerator[None]:
        status = status_of(event.code) if isinstance(event, ResponseProtocolError) else None
        if status is not None and not self.response and isinstance(event, ResponseProtocolError):
            yield from self.refuse(status, event.message)
        else:
            yield from super().send(event)

    # The end

    def refuse(self, status: int, message: str) -> CommandGenerator[None]:
        """Answer with an error and close the connection."""
        self._refused = True
        refused = error_bytes(status, message, head_only=self._head_only, line=self._line)
        yield commands.SendData(self.conn, refused)
        yield from self._leave()

    def _leave(self) -> CommandGenerator[None]:
        """Close our side, and discard what comes until the client closes its own.

        To close both with unread bytes would be a reset, which may cost the client our response: RFC 9112 section 9.6.
        """
        self.state = self.leaving
        self.buf.maybe_extract_at_most(len(self.buf))
        if (
            not self.conn.tls
        ):  # asyncio's TLS has no half-close: the layer closes once nothing more comes
            yield commands.CloseTcpConnection(self.conn, half_close=True)

    def leaving(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, events.ConnectionClosed):
            yield from self.close()
        else:
            self.buf.maybe_extract_at_most(len(self.buf))

    def close(self) -> CommandGenerator[None]:
        self.state = self.done
        yield commands.CloseConnection(self.conn)

    @property
    def phase(self) -> Phase:
        phase = _PHASES.get(self.state.__name__, Phase.BUSY)
        return Phase.HEAD if phase is Phase.IDLE and self.buf else phase
