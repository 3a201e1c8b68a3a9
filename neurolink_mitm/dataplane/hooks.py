"""A client's request, made once more from its flow: as it came, with what somebody has changed of it since.

A flow's own request becomes that of its last attempt: at the account's path, renamed and reworded.

Events that a PoolStream adds to mitmproxy's own, and helpers for the addons that hear them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from mitmproxy import http
from mitmproxy.proxy.commands import StartHook

from neurolink_mitm.core.exchange import Deliver, Exchange, Reply
from neurolink_mitm.core.failover.errors import error_body
from neurolink_mitm.core.logs.summary import Summary, summary
from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request.body import BodyIndex

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


def save_received_request(flow: http.HTTPFlow, received: http.Request) -> None:
    """What the client sent; addons may still change it before the first attempt."""
    setattr(flow, _RECEIVED, received)


def save_shown_request(flow: http.HTTPFlow) -> None:
    """What the flow shows from now on, unless somebody changes it."""
    setattr(flow, _LEFT, _Parts.of(flow.request))


def replay_request(flow: http.HTTPFlow, fields: headers.Fields, prefix: str) -> http.Request:
    """The request without credentials, and with `fields` in place of those that belong to a connection.

    Of a flow that was loaded or copied only the last attempt's is known; `prefix` is what stands there before the path.
    """
    parts = _parts(flow, prefix)
    old = headers.without(headers.end_to_end(parts.fields), _CONNECTIONS)
    unmasked = tuple(field for field in old if not headers.is_masked(field))
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


OVERLOADED = 529
"""Anthropic's own status."""
SUMMARY = "neurolink"
"""In `flow.metadata`, which mitmproxy saves with the flow: plain values only."""
_RECORD = "neurolink_record"
_KEPT = "neurolink_kept"
_NOTES = "neurolink_notes"
_WATCHED = "neurolink_watched"
_OURS = "neurolink_ours"
"""Attributes of a flow: mitmproxy neither copies nor saves what it does not know."""


@dataclass
class AttemptHook(StartHook):
    """`attempt(flow)`: the request is about to be sent upstream.

    `flow.request` is what the client sent, anew for each attempt. Addons choose where it goes and change it for that;
    they set `Attempt.ready` of `Exchange.attempt`, or `flow.response` to answer without upstream.
    """

    name = "attempt"
    flow: http.HTTPFlow


@dataclass
class AttemptFailedHook(StartHook):
    """`attempt_failed(flow)`: nothing of this attempt has reached the client, and nothing will.

    `Attempt.failure` says what happened; `flow.response` is upstream's answer if there was a whole one. Addons set
    `Exchange.step` to what is to happen next.
    """

    name = "attempt_failed"
    flow: http.HTTPFlow


def mark_pool_flow(flow: http.HTTPFlow) -> None:
    """It comes through our data plane: neither from another mode of mitmproxy's nor from a file."""
    setattr(flow, _OURS, True)


def is_pool_flow(flow: http.HTTPFlow) -> bool:
    return getattr(flow, _OURS, False)


def exchange_of(flow: http.HTTPFlow) -> Exchange | None:
    """The record of this flow, from when the first addon has made it until the journal has written it down."""
    return getattr(flow, _RECORD, None)


def attach_exchange(flow: http.HTTPFlow, exchange: Exchange) -> None:
    setattr(flow, _RECORD, exchange)


def detach_exchange(flow: http.HTTPFlow, exchange: Exchange) -> None:
    """What is left of it can be saved and shown, where somebody watches."""
    setattr(flow, _RECORD, None)
    if getattr(flow, _WATCHED, False):
        flow.metadata[SUMMARY] = summary(exchange)
        save_shown_request(flow)


def save_response(flow: http.HTTPFlow, response: http.Response | None) -> None:
    """Upstream's latest answer, for when it is the last word."""
    setattr(flow, _KEPT, response)


def saved_response(flow: http.HTTPFlow) -> http.Response | None:
    return getattr(flow, _KEPT, None)


def flow_state(flow: http.HTTPFlow) -> dict[str, Any]:
    """What addons keep for themselves while a flow lives, by names of their own."""
    found: dict[str, Any] | None = getattr(flow, _NOTES, None)
    if found is None:
        setattr(flow, _NOTES, found := {})
    return found


def summary_of(flow: http.HTTPFlow) -> Summary | None:
    """What became of it so far, or, at its end, what the journal has left of its record."""
    exchange = exchange_of(flow)
    if exchange is not None:
        return summary(exchange)
    found = flow.metadata.get(SUMMARY)
    return found if isinstance(found, dict) else None


def mask_credentials(flow: http.HTTPFlow) -> None:
    """For who watches: show stars in place of the request's credentials; `unmasked_fields` still has them."""
    setattr(flow, _WATCHED, True)
    exchange = exchange_of(flow)
    if exchange is not None:
        fields = unmasked_fields(flow)
        (exchange.attempt or exchange).masked = headers.sensitive_fields(fields)
        flow.request.headers.fields = headers.mask_fields(fields)


def unmasked_fields(flow: http.HTTPFlow) -> headers.Fields:
    """The request's header fields as they came, or as they are to be sent."""
    fields = flow.request.headers.fields
    exchange = exchange_of(flow)
    masked = (exchange.attempt or exchange).masked if exchange else ()
    return headers.unmask_fields(fields, masked) if masked else fields


def final_response(flow: http.HTTPFlow, exchange: Exchange) -> http.Response | None:
    """What the client gets if no further attempt is made; None if one is."""
    if isinstance(exchange.step, Deliver):
        return saved_response(flow)
    if isinstance(exchange.step, Reply):
        return error_response(exchange.step, exchange.request_id)
    return None


def send_edited_body(flow: http.HTTPFlow, index: BodyIndex) -> None:
    """Let the attempt send the body of `index`. The next ones to look at it need not read it again."""
    exchange = exchange_of(flow)
    if exchange and exchange.index and index.body is not flow.request.raw_content:
        flow.request.content = index.body  # sets content-length, too
        exchange.index.follow(index)


def json_response(status: int, body: bytes) -> http.Response:
    """An answer of our own."""
    response = http.Response.make(status, body, {"content-type": "application/json"})
    response.reason = reason_phrase(status)
    return response


def reason_phrase(status: int) -> str:
    """What follows a status on the wire: some clients can't read a line without, and mitmproxy's table has gaps."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Overloaded" if status == OVERLOADED else "Error"


def refuse(flow: http.HTTPFlow, reply: Reply) -> None:
    """Answer in place of upstream, and note why."""
    exchange = exchange_of(flow)
    flow.response = error_response(reply, exchange.request_id if exchange else "")
    if exchange:
        exchange.why = reply.message


def error_response(reply: Reply, request_id: str = "") -> http.Response:
    """An error of our own, in Anthropic's form."""
    body = error_body(reply.error_type, reply.message, request_id)
    response = json_response(reply.status, body)
    if reply.retry_after is not None:
        response.headers["retry-after"] = str(reply.retry_after)
    if (
        reply.hopeless
    ):  # else Claude Code and the SDKs repeat a 401 or 503 ten times, and say nothing
        response.headers["x-should-retry"] = "false"
    return response
