"""The client's side of a connection: mitmproxy's HTTP/1.1 server, with bounds, and errors in Anthropic's form."""

from __future__ import annotations

import re

from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http._base import HttpEvent, ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    RequestProtocolError,
    ResponseData,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._http1 import Http1Server

from neurolink_mitm.core.exchange import Reply
from neurolink_mitm.mitm.compat import CLIENT_LEFT, status_of
from neurolink_mitm.mitm.hooks import error_response

MAX_HEAD = 64 * 1024
MAX_PIPELINED = 1024 * 1024
"""Bytes a client may send ahead while its last request is still being answered."""

_BLANK_LINE = re.compile(rb"\n\r?\n")
_TYPES = {408: "timeout_error", 413: "request_too_large", 502: "api_error"}


def error_bytes(status: int, message: str) -> bytes:
    """A whole answer that also says goodbye: after it the connection is closed."""
    error_type = _TYPES.get(status, "invalid_request_error")
    response = error_response(Reply(status, error_type, message))
    response.headers["connection"] = "close"
    raw: bytes = http1.assemble_response(response)
    return raw


def _chunk(data: bytes) -> bytes:
    """RFC 9112 section 7.1."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Front(Http1Server):
    """Reads requests; one at a time is answered, what a client sends ahead waits."""

    _chunked = False
    _refused = False

    def read_headers(self, event: events.ConnectionEvent) -> CommandGenerator[None]:
        if self._head_too_long():
            yield from self.refuse(431, f"request head over {MAX_HEAD // 1024} KiB")
            return
        before = len(self.buf)
        for command in super().read_headers(event):
            # Beside our own refusals only the parent's page of HTML for a head it can't read.
            if isinstance(command, commands.SendData) and not self._refused:
                command = commands.SendData(self.conn, error_bytes(400, "malformed request head"))
                self._refused = True
            yield command
        if self.waits_for_head and 0 < len(self.buf) < before:  # that was an empty line
            yield from self.read_headers(event)

    def _head_too_long(self) -> bool:
        """It may have come as a whole, and with a part of its body."""
        return len(self.buf) > MAX_HEAD and not _BLANK_LINE.search(bytes(self.buf)[:MAX_HEAD])

    def read_body(self, event: events.Event) -> CommandGenerator[None]:
        """The parent hangs up without a word on a body that it can't read, and crashes on trailers."""
        if not isinstance(event, events.DataReceived):
            yield from super().read_body(event)
            return
        try:
            for command in super().read_body(event):
                if isinstance(command, commands.CloseConnection) and not self.response_done:
                    yield from self._refuse_body("malformed request body")
                    return
                yield command
        except NotImplementedError:
            yield from self._refuse_body("a request body can't have trailers here")
        # what is left unread is the line of a chunk's size, or trailers
        if self.state == self.read_body and len(self.buf) > MAX_HEAD:
            yield from self._refuse_body("malformed request body")

    def _refuse_body(self, message: str) -> CommandGenerator[None]:
        if self.response:  # the answer has begun already
            yield commands.CloseConnection(self.conn)
            self.state = self.done
        else:
            yield from self.refuse(400, message)
        yield ReceiveHttp(RequestProtocolError(self.stream_id, message, CLIENT_LEFT))

    def wait(self, event: events.Event) -> CommandGenerator[None]:
        yield from super().wait(event)
        if len(self.buf) > MAX_PIPELINED and self.state == self.wait:
            yield commands.CloseConnection(self.conn)

    def send(self, event: HttpEvent) -> CommandGenerator[None]:
        if isinstance(event, ResponseData) and event.data:  # the parent asks the headers each time
            yield commands.SendData(self.conn, _chunk(event.data) if self._chunked else event.data)
            return
        if isinstance(event, ResponseHeaders):
            coding = event.response.headers.get("transfer-encoding", "")
            self._chunked = "chunked" in coding.lower()
        if isinstance(event, ResponseProtocolError) and not self.response:
            if self._refused:
                return  # once is enough
            status = status_of(event.code)
            if status is not None:
                yield from self.refuse(status, event.message)
                return
        yield from super().send(event)

    def refuse(self, status: int, message: str) -> CommandGenerator[None]:
        """Answer with an error and close."""
        self._refused = True
        yield commands.SendData(self.conn, error_bytes(status, message))
        yield commands.CloseConnection(self.conn)
        self.state = self.done

    @property
    def waits_for_head(self) -> bool:
        return bool(self.state == self.read_headers)

    @property
    def mid_request(self) -> bool:
        """The client has begun a request and not finished it."""
        return bool(self.buf) if self.waits_for_head else bool(self.state == self.read_body)
