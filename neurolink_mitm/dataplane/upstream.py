"""The connection to upstream: mitmproxy's HTTP/1.1 client with bounds and a strict reading of responses.

A malformed response is a connection error: the stream tries the next account or ends the client's response well.
"""

from __future__ import annotations

import re

from h11._receivebuffer import ReceiveBuffer
from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    HttpEvent,
    RequestData,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._http1 import Http1Client, make_body_reader

from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request.chunks import BAD_SIZE, Chunks
from neurolink_mitm.dataplane.compat import CANCEL

MAX_HEAD = 64 * 1024
"""Bytes of a response's head, with all interim responses (1xx) before it."""
MAX_FIELDS = 500
"""Lines of a head."""
MAX_INTERIM = 100
"""Interim responses before the final one."""
MAX_QUOTE = 100
"""Characters of an error text that go into a message."""

_BLANK_LINE = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.\d[ \t]+[1-5]\d\d([ \t].*)?", re.DOTALL)
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PLAIN = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[^\x00-\x08\x0a-\x1f\x7f]*+(?:\n|\Z))*+")
"""The lines of a head whose fields are all well-formed, which need no look at each field."""
_FOLD = re.compile(rb"\r?\n[ \t]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class UpstreamConnection(Http1Client):
    """Reads responses. Interim ones and trailers are dropped."""

    _is_chunked = False
    """Whether the request's body goes in chunks."""
    _ends = False
    """Whether the connection ends with this response."""
    heard = False
    """Whether upstream has sent anything."""
    _head_bytes = 0
    """Bytes of this response's head that were read, with interim responses."""
    _interim = 0
    _chunks: Chunks | None = None

    def send(self, event: HttpEvent) -> CommandGenerator[None]:
        """Send a part of the request: as mitmproxy does, which looks up its framing for each part."""
        if isinstance(event, RequestHeaders):
            fields = event.request.headers.fields
            self._is_chunked = headers.get(fields, b"transfer-encoding") is not None
        if self._is_chunked or isinstance(event, RequestProtocolError):
            yield from super().send(event)
        elif isinstance(event, RequestHeaders):
            self.stream_id, self.request = event.stream_id, event.request
            yield commands.SendData(self.conn, http1.assemble_request_head(event.request))
        elif isinstance(event, RequestData):
            yield commands.SendData(self.conn, event.data)
        else:
            yield from self.mark_done(request=True)

    def mark_done(self, *, request: bool = False, response: bool = False) -> CommandGenerator[None]:
        """Make the connection ready for the next request once both are done, or close it."""
        self.request_done |= request
        self.response_done |= response
        if not (self.request_done and self.response_done):
            return
        if self._ends or self.buf:
            yield commands.CloseConnection(self.conn)
            self.state = self.done
        else:
            self.request_done = self.response_done = False
            self.request = self.response = self.stream_id = None
            self.state = self.read_headers

    @property
    def is_free(self) -> bool:
        """Whether the response is complete and the connection good for another request."""
        return self.heard and self.request is None and self.conn.connected

    def read_headers(self, event: events.ConnectionEvent) -> CommandGenerator[None]:
        if isinstance(event, events.ConnectionClosed):
            yield from self._closed(event)
        elif not self.request:  # upstream sends something unasked
            yield commands.CloseConnection(self.conn)
        else:
            try:
                response = self._next_head()
            except ValueError as e:
                yield from self._broken(str(e))
                return
            if response:
                yield from self._begin(response, event)

    def _closed(self, event: events.ConnectionClosed) -> CommandGenerator[None]:
        if self.buf and self.stream_id:
            yield from self._broken("closed within the head of its answer")
        else:
            yield from super().read_headers(event)

    def _next_head(self) -> http.Response | None:
        """Return the head of the final response, if it has come. Raises `ValueError`."""
        while lines := self._lines():
            response = _head_of(lines)
            if response.status_code >= 200:
                return response
            self._interim += 1
            if response.status_code == 101:
                raise ValueError("it switches protocols, which nobody has asked for")
            if self._interim > MAX_INTERIM:
                raise ValueError(f"more than {MAX_INTERIM} interim answers")
        return None

    def _lines(self) -> list[bytes] | None:
        """Return the lines of one head, if it has come; empty lines before it are skipped. Raises `ValueError`."""
        before = len(self.buf)
        if before and bytes(self.buf)[:1] in (b"\r", b"\n"):
            self.buf.maybe_extract_at_most(before - len(bytes(self.buf).lstrip(b"\r\n")))
        lines = self.buf.maybe_extract_lines()
        self._head_bytes += before - len(self.buf)
        if self._head_bytes + (0 if lines else len(self.buf)) > MAX_HEAD:
            raise ValueError(f"its head is over {MAX_HEAD // 1024} KiB")
        if lines and len(lines) > MAX_FIELDS:
            raise ValueError(f"its head has more than {MAX_FIELDS} lines")
        return [bytes(line) for line in lines] if lines else None

    def _begin(
        self, response: http.Response, event: events.ConnectionEvent
    ) -> CommandGenerator[None]:
        self._head_bytes = self._interim = 0
        self.response = response
        try:
            assert self.request
            assert self.stream_id is not None
            size = _framed(self.request, response)
        except ValueError as e:
            yield from self._broken(str(e))
            return
        self._ends = size == -1 or _closes(response) or _closes(self.request)
        yield ReceiveHttp(ResponseHeaders(self.stream_id, response, size == 0))
        self._chunks = Chunks(trailers=True, tiny=True) if size is None else None
        self.body_reader = make_body_reader(size)
        self.state = self.read_body
        yield from self.state(event)

    def read_body(self, event: events.Event) -> CommandGenerator[None]:
        if self._chunks is None:
            yield from super().read_body(event)
        elif isinstance(event, events.ConnectionClosed):
            yield from self._broken("closed within a body in chunks")
        else:
            yield from self._read_chunks(self._chunks)

    def _read_chunks(self, chunks: Chunks) -> CommandGenerator[None]:
        assert self.stream_id is not None
        data, used = chunks.feed(bytes(self.buf))
        self.buf.maybe_extract_at_most(used)
        if data:  # what came before a fault, too
            yield ReceiveHttp(ResponseData(self.stream_id, data))
        if chunks.fault == BAD_SIZE:
            yield from self._broken(f"{BAD_SIZE}: {bytes(self.buf)[:20]!r}")
        elif chunks.fault:
            yield from self._broken(chunks.fault)
        elif chunks.done and self.state == self.read_body:
            yield ReceiveHttp(ResponseEndOfMessage(self.stream_id))
            yield from self.mark_done(response=True)

    def _broken(self, what: str) -> CommandGenerator[None]:
        self.buf = ReceiveBuffer()
        self.state = self.done
        yield commands.CloseConnection(self.conn)
        if self.stream_id is not None:
            message = f"no answer that could be read: {what[:MAX_QUOTE]}"
            error = ResponseProtocolError(self.stream_id, message, CANCEL)
            yield ReceiveHttp(error)


def _head_of(lines: list[bytes]) -> http.Response:
    """Parse the lines of a head. Raises `ValueError`."""
    if not _STATUS_LINE.fullmatch(lines[0]):
        raise ValueError(f"its first line is {lines[0][:40]!r}")
    response = http1.read_response_head(lines)
    if not _PLAIN.fullmatch(b"\n".join(lines[1:])):
        response.headers.fields = tuple(_checked(*field) for field in response.headers.fields)
    response.data.reason = _CONTROL.sub(b" ", response.data.reason)
    return response


def _checked(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Return a field with its value unfolded (RFC 9112 section 5.2). Raises `ValueError` if it is malformed."""
    name = name.rstrip(b" \t")
    value = _FOLD.sub(b" ", value)
    if not _NAME.fullmatch(name) or _CONTROL.search(value):
        raise ValueError(f"it has a malformed header field {name[:40]!r}")
    return name, value


def _closes(message: http.Message) -> bool:
    """Whether the connection ends with `message` (RFC 9112 section 9.3)."""
    fields = message.headers.fields
    if message.data.http_version == b"HTTP/1.1" and not any(
        name.lower() == b"connection" for name, _ in fields
    ):
        return False
    return bool(http1.connection_close(message.http_version, message.headers))


def _framed(request: http.Request, response: http.Response) -> int | None:
    """Return the body's size as mitmproxy understands it, and normalise its fields. Raises `ValueError`."""
    if (plain := _plain_framing(response)) is not None:
        if request.data.method.upper() == b"HEAD":
            return 0
        return None if plain == b"chunked" else int(plain)
    _set_framing(response)
    size = http1.expected_http_body_size(request, response)
    _move_codings(response.headers)
    return size


def _plain_framing(response: http.Response) -> bytes | None:
    """Return the value of the field that tells the body's size, if there is one well-formed one as in nearly all."""
    framing = [
        (name.lower(), value)
        for name, value in response.headers.fields
        if name.lower() in (b"content-length", b"transfer-encoding")
    ]
    if len(framing) != 1 or response.status_code in (204, 304):
        return None
    [(name, value)] = framing
    is_plain = value.isdigit() if name == b"content-length" else value == b"chunked"
    return value if is_plain else None


def _set_framing(response: http.Response) -> None:
    """Leave one field that tells the body's size (RFC 9112 section 6.3). Raises `ValueError`."""
    fields = response.headers
    lengths = {part.strip() for part in fields.pop("content-length", "").split(",")}
    if len(lengths) > 1:
        raise ValueError("it has several lengths")
    if response.status_code in (204, 304):
        fields.pop("transfer-encoding", None)
    length = lengths.pop()
    if length and "transfer-encoding" not in fields and response.status_code != 204:
        fields["content-length"] = length


def _move_codings(fields: http.Headers) -> None:
    """Move compressions from `transfer-encoding` to `content-encoding`, which is undone here or by the client."""
    coding = fields.get("transfer-encoding", "")
    *inner, last = [part.strip() for part in coding.lower().split(",")]
    if last not in ("", "chunked"):
        inner, last = [*inner, last], ""
    inner = [name for name in inner if name != "identity"]
    if inner:
        codings = [name for name in [fields.get("content-encoding", ""), *inner] if name]
        fields["content-encoding"] = ", ".join(codings)
    if coding and not last:
        del fields["transfer-encoding"]
    elif inner:
        fields["transfer-encoding"] = last
