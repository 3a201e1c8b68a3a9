"""Upstream's side of a connection: mitmproxy's HTTP/1.1 client, with bounds, and strict about what is an answer.

What breaks a rule here is an error of this connection: the stream tries the next account, or closes well.
"""

from __future__ import annotations

import re

from h11._receivebuffer import ReceiveBuffer
from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layer import CommandGenerator, Layer
from mitmproxy.proxy.layers.http import HttpClient
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._http1 import Http1Client, make_body_reader

from neurolink_mitm.core.request.chunks import BAD_SIZE, Chunks
from neurolink_mitm.dataplane.compat import CANCEL

MAX_HEAD = 64 * 1024
"""Bytes of an answer's head, with all interim answers (1xx) before it."""
MAX_FIELDS = 500
MAX_INTERIM = 100
MAX_QUOTE = 100

_BLANK_LINE = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.\d[ \t]+[1-5]\d\d([ \t].*)?", re.DOTALL)
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PLAIN = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[^\x00-\x08\x0a-\x1f\x7f]*+(?:\n|\Z))*+")
"""The fields of a head in which nothing is odd, as lines: with them next to no time is spent."""
_FOLD = re.compile(rb"\r?\n[ \t]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class UpstreamConnection(Http1Client):
    """Reads answers. Interim ones are skipped, trailers are dropped."""

    _seen = 0
    """Bytes of this answer's head that are read already: of interim answers."""
    _interim = 0
    _chunks: Chunks | None = None

    def read_headers(self, event: events.ConnectionEvent) -> CommandGenerator[None]:
        if isinstance(event, events.ConnectionClosed):
            yield from self._closed(event)
        elif not self.request:  # it says something unasked
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
        """The head of the final answer, if it is here. Raises `ValueError`."""
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
        """Of one head; empty lines before it are skipped. Raises `ValueError`."""
        before = len(self.buf)
        if before and bytes(self.buf)[:1] in (b"\r", b"\n"):
            self.buf.maybe_extract_at_most(before - len(bytes(self.buf).lstrip(b"\r\n")))
        lines = self.buf.maybe_extract_lines()
        self._seen += before - len(self.buf)
        if self._seen + (0 if lines else len(self.buf)) > MAX_HEAD:
            raise ValueError(f"its head is over {MAX_HEAD // 1024} KiB")
        if lines and len(lines) > MAX_FIELDS:
            raise ValueError(f"its head has more than {MAX_FIELDS} lines")
        return [bytes(line) for line in lines] if lines else None

    def _begin(
        self, response: http.Response, event: events.ConnectionEvent
    ) -> CommandGenerator[None]:
        self._seen = self._interim = 0
        self.response = response
        try:
            assert self.request
            assert self.stream_id is not None
            size = _framed(self.request, response)
        except ValueError as e:
            yield from self._broken(str(e))
            return
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
    """Raises `ValueError`."""
    if not _STATUS_LINE.fullmatch(lines[0]):
        raise ValueError(f"its first line is {lines[0][:40]!r}")
    response = http1.read_response_head(lines)
    if not _PLAIN.fullmatch(b"\n".join(lines[1:])):
        response.headers.fields = tuple(_sound(*field) for field in response.headers.fields)
    response.data.reason = _CONTROL.sub(b" ", response.data.reason)
    return response


def _sound(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A field that may be passed on; a folded one in one line (RFC 9112 section 5.2)."""
    name = name.rstrip(b" \t")
    value = _FOLD.sub(b" ", value)
    if not _NAME.fullmatch(name) or _CONTROL.search(value):
        raise ValueError(f"it has a malformed header field {name[:40]!r}")
    return name, value


def _framed(request: http.Request, response: http.Response) -> int | None:
    """How long its body is, as mitmproxy tells it; the fields that say so are put right. Raises `ValueError`."""
    if _is_plainly_framed(response):
        return http1.expected_http_body_size(request, response)
    _set_framing(response)
    size = http1.expected_http_body_size(request, response)
    _call_coding_by_its_name(response.headers)
    return size


def _is_plainly_framed(response: http.Response) -> bool:
    """One field says how long it is, and in the plainest way: so it is with nearly all answers."""
    said = [
        (name.lower(), value)
        for name, value in response.headers.fields
        if name.lower() in (b"content-length", b"transfer-encoding")
    ]
    if len(said) != 1 or response.status_code in (204, 304):
        return False
    [(name, value)] = said
    return value.isdigit() if name == b"content-length" else value == b"chunked"


def _set_framing(response: http.Response) -> None:
    """Leave one word on how long the body is (RFC 9112 section 6.3). Raises `ValueError`."""
    fields = response.headers
    lengths = {part.strip() for part in fields.pop("content-length", "").split(",")}
    if len(lengths) > 1:
        raise ValueError("it has several lengths")
    if response.status_code in (204, 304):
        fields.pop("transfer-encoding", None)
    length = lengths.pop()
    if length and "transfer-encoding" not in fields and response.status_code != 204:
        fields["content-length"] = length


def _call_coding_by_its_name(fields: http.Headers) -> None:
    """What is compressed for the transfer is so for the client, too, and undone with it or by it."""
    coding = fields.get("transfer-encoding", "")
    *inner, last = [part.strip() for part in coding.lower().split(",")]
    if last not in ("", "chunked"):
        inner, last = [*inner, last], ""
    inner = [name for name in inner if name != "identity"]
    if inner:
        known = [name for name in [fields.get("content-encoding", ""), *inner] if name]
        fields["content-encoding"] = ", ".join(known)
    if coding and not last:
        del fields["transfer-encoding"]
    elif inner:
        fields["transfer-encoding"] = last


def use_upstream_connection(above: Layer) -> None:
    """Put a `UpstreamConnection` in the place of the client that mitmproxy has just made for a new connection."""
    maker = next(layer for layer in above.context.layers if isinstance(layer, HttpClient))
    if not isinstance(maker.child_layer, Http1Client):
        return
    maker.child_layer = connection = UpstreamConnection(maker.context)
    maker._handle_event = connection.handle_event  # as mitmproxy itself does
    for _ in connection.handle_event(events.Start()):
        raise AssertionError("starting to read takes no command")
