"""The client's request of a flow, rebuilt for a replay.

`flow.request` ends as that of the last attempt: with the account's path, host and credential, the mapped model and the
shaped body.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mitmproxy import http

from neurolink_mitm.core.request import headers

_RECEIVED = "neurolink_received"
_CLIENTS = "neurolink_clients"
_SHOWN = "neurolink_shown"
"""Attributes of a flow, which mitmproxy neither copies nor saves."""
_CONNECTIONS = (b"host", b"content-length", b"transfer-encoding", b"expect")


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of a request that a user of mitmweb can edit."""

    method: str
    path: str
    fields: headers.Fields
    content: bytes | None

    @classmethod
    def of(cls, request: http.Request) -> _Parts:
        return cls(request.method, request.path, request.headers.fields, request.raw_content)


def save_received_request(flow: http.HTTPFlow, received: http.Request) -> None:
    """Save the client's request. Addons may still change `received` before the first attempt."""
    setattr(flow, _RECEIVED, received)


def save_client_request(flow: http.HTTPFlow) -> None:
    """Save the client's request before it is translated, if `save_received_request` has saved it as received."""
    if getattr(flow, _RECEIVED, None) is not None:
        setattr(flow, _CLIENTS, _Parts.of(flow.request))


def save_shown_request(flow: http.HTTPFlow) -> None:
    """Save what the finished flow shows: parts that differ from it later were edited by the user."""
    setattr(flow, _SHOWN, _Parts.of(flow.request))


def replay_request(flow: http.HTTPFlow, fields: headers.Fields, prefix: str) -> http.Request:
    """Return the client's request with the user's edits, without credentials, and with `fields` added.

    A loaded or copied flow has only the last attempt's request, whose path begins with the account's `prefix`.
    """
    parts = _parts(flow, prefix)
    sent = headers.without(headers.end_to_end(parts.fields), _CONNECTIONS)
    unmasked = tuple(field for field in sent if not headers.is_masked(field))
    new = dict((*fields, (b"content-length", b"%d" % len(parts.content or b""))))
    return http.Request(
        host="",
        port=0,
        method=parts.method.encode(),
        scheme=b"http",
        authority=b"",
        path=parts.path.encode("utf-8", "surrogateescape"),
        http_version=b"HTTP/1.1",
        headers=headers.replace(unmasked, new),
        content=parts.content,
        trailers=None,
        timestamp_start=0.0,
        timestamp_end=0.0,
    )


def _parts(flow: http.HTTPFlow, prefix: str) -> _Parts:
    now = _Parts.of(flow.request)
    shown: _Parts | None = getattr(flow, _SHOWN, None)
    received: http.Request | None = getattr(flow, _RECEIVED, None)
    if shown is None or received is None:
        inside = now.path.startswith(f"{prefix}/")
        return replace(now, path=now.path.removeprefix(prefix)) if inside else now
    came = _Parts.of(received)
    clients: _Parts | None = getattr(flow, _CLIENTS, None)
    if clients and now.content == shown.content and now.path == shown.path:
        came = clients  # what the user edits is the translated request
    return _Parts(
        came.method if now.method == shown.method else now.method,
        came.path if now.path == shown.path else now.path.removeprefix(prefix),
        came.fields if now.fields == shown.fields else now.fields,
        came.content if now.content == shown.content else now.content,
    )
