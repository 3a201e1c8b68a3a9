"""A client's request, made once more from its flow: as it came, with what somebody has changed of it since.

A flow's own request becomes that of its last attempt: at the account's path, renamed and reworded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mitmproxy import http

from neurolink_mitm.core.request import headers

_RECEIVED = "neurolink_received"
_LEFT = "neurolink_left"
"""Attributes of a flow: mitmproxy neither copies nor saves what it does not know."""
_CONNECTIONS = (b"host", b"content-length", b"transfer-encoding", b"expect")


@dataclass(frozen=True, slots=True)
class _Parts:
    """Of a request."""

    method: str
    path: str
    fields: headers.Fields
    content: bytes | None

    @classmethod
    def of(cls, request: http.Request) -> _Parts:
        return cls(request.method, request.path, request.headers.fields, request.raw_content)


def keep_received(flow: http.HTTPFlow, received: http.Request) -> None:
    """What the client sent; addons may still change it before the first attempt."""
    setattr(flow, _RECEIVED, received)


def keep_left(flow: http.HTTPFlow) -> None:
    """What the flow shows from now on, unless somebody changes it."""
    setattr(flow, _LEFT, _Parts.of(flow.request))


def request_again(flow: http.HTTPFlow, fields: headers.Fields, prefix: str) -> http.Request:
    """The request without credentials, and with `fields` in place of those that belong to a connection.

    Of a flow that was loaded or copied only the last attempt's is known; `prefix` is what stands there before the path.
    """
    parts = _parts(flow, prefix)
    old = headers.without(headers.end_to_end(parts.fields), _CONNECTIONS)
    kept = tuple(field for field in old if not headers.is_starred(field))
    new = dict((*fields, (b"content-length", b"%d" % len(parts.content or b""))))
    return http.Request(
        host="",
        port=0,
        method=parts.method.encode(),
        scheme=b"http",
        authority=b"",
        path=parts.path.encode("utf-8", "surrogateescape"),
        http_version=b"HTTP/1.1",
        headers=headers.replace(kept, new),
        content=parts.content,
        trailers=None,
        timestamp_start=0.0,
        timestamp_end=0.0,
    )


def _parts(flow: http.HTTPFlow, prefix: str) -> _Parts:
    now = _Parts.of(flow.request)
    left: _Parts | None = getattr(flow, _LEFT, None)
    received: http.Request | None = getattr(flow, _RECEIVED, None)
    if left is None or received is None:
        inside = now.path.startswith(f"{prefix}/")
        return replace(now, path=now.path.removeprefix(prefix)) if inside else now
    came = _Parts.of(received)
    return _Parts(
        came.method if now.method == left.method else now.method,
        came.path if now.path == left.path else now.path.removeprefix(prefix),
        came.fields if now.fields == left.fields else now.fields,
        came.content if now.content == left.content else now.content,
    )
