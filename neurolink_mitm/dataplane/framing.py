"""The head of a response for the client: its fields, and how it says where the body ends (RFC 9112 section 6)."""

from __future__ import annotations

from typing import TypeVar

from mitmproxy import http
from mitmproxy.net.http import http1

from neurolink_mitm.core.request import headers
from neurolink_mitm.dataplane.hooks import reason_phrase

_FRAMING = (b"content-length", b"transfer-encoding")

M = TypeVar("M", http.Request, http.Response)
T = TypeVar("T")


def client_head(head: http.Response, request: http.Request, now: float | None) -> http.Response:
    """Copy upstream's `head` for the client that sent `request`; mitmproxy still reads the original.

    With `now` (seconds since the epoch) a `Retry-After` is made well-formed, and at least 1 s.
    """
    fields = headers.end_to_end(head.headers.fields)
    if now is not None:
        fields = headers.with_sound_wait(fields, now)
    if request.is_http10:  # knows no chunks: its body ends where the connection ends
        fields = (*headers.without(fields, (b"transfer-encoding",)), (b"connection", b"close"))
    elif http1.expected_http_body_size(request, head) == -1:  # only its end says how long
        fields = (*headers.without(fields, _FRAMING), (b"transfer-encoding", b"chunked"))
    response = copied(head)
    response.data.http_version = b"HTTP/1.1"
    response.data.reason = head.data.reason or reason_phrase(head.status_code).encode()
    response.headers = http.Headers(fields)
    return response


def reframe(response: http.Response, length: int | None, request: http.Request) -> None:
    """Set the fields for a body of `length` bytes; None: of unknown length."""
    if "content-length" not in response.headers:
        return
    if length is not None:
        response.headers["content-length"] = str(length)
        return
    del response.headers["content-length"]
    if request.is_http10:
        response.headers["connection"] = "close"
    else:
        response.headers["transfer-encoding"] = "chunked"


def copied(message: M) -> M:
    """Return a copy that shares the body. The constructor would check all types again."""
    twin = shallow_copy(message)
    twin.data = shallow_copy(message.data)
    twin.data.headers = shallow_copy(message.headers)
    return twin


def shallow_copy(value: T) -> T:
    """Return a copy of an ordinary object. `copy.copy` asks for its state first, and takes five times as long."""
    twin = object.__new__(type(value))
    vars(twin).update(vars(value))
    return twin
