"""One client request, sent upstream as often as it takes: mitmproxy's `HttpStream` with failover inside the flow.

The head of a response is held back until the response is known to be good. Until then attempts can fail unseen: addons
choose the next action in the `attempt_failed` hook, and the request is sent again. This class holds, resends, times out
and ends streams; addons and `core` decide.

    request whole ──▶ `request` ──▶ `attempt` ──▶ connect ──▶ send ──▶ hold ──▶ release ──▶ pass on ──▶ `response`
                                        ▲                       │
                                        └── `attempt_failed` ◀──┘
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar
from uuid import uuid4

from mitmproxy import http
from mitmproxy.connection import Server
from mitmproxy.proxy import events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http import (
    GetHttpConnection,
    HttpRequestHook,
    SendHttp,
)
from mitmproxy.proxy.layers.http._events import (
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
)

from neurolink_mitm.core.exchange import (
    WHOLE_KINDS,
    Deliver,
    Hold,
    Pause,
    Reply,
    Try,
    UpstreamResponse,
)
from neurolink_mitm.core.failover.errors import Failure, FailureStage
from neurolink_mitm.core.failover.unreachable import unreached
from neurolink_mitm.core.request.target import UpstreamKey
from neurolink_mitm.dataplane.answer_stream import AnswerStream, Incoming
from neurolink_mitm.dataplane.bounded_stream import BreakOff, Commands, GoOn, StreamHost
from neurolink_mitm.dataplane.framing import copied, shallow_copy
from neurolink_mitm.dataplane.hooks import (
    AttemptFailedHook,
    AttemptHook,
    HoldHook,
    exchange_of,
    make_resumable,
    unmasked_fields,
)
from neurolink_mitm.dataplane.original_request import save_received_request

_SERVER = Server(address=None)
"""Copied for each attempt: a server of mitmproxy's checks the assignment of each of its twenty fields."""


class GetUpstream(GetHttpConnection):
    """Asks for a connection for one attempt."""

    TIMED_OUT: ClassVar[str] = "connect timed out"

    def __init__(self, key: UpstreamKey, *, fresh: bool = False) -> None:
        """`fresh`: a new connection."""
        super().__init__((key.host, key.port), key.tls, None)
        self.key = key
        self.fresh = fresh

    def new_server(self) -> Server:
        """Return what stands for the connection in the flow and in mitmproxy's commands."""
        via, server = self.key.via, shallow_copy(_SERVER)
        vars(server).update(
            id=str(uuid4()),
            address=self.address,
            tls=self.tls,
            via=(via.scheme, (via.host, via.port)) if via else None,
        )
        return server


class FailoverStream(AnswerStream):
    """See the module. States are methods, as in the parent; `wake_at` and `_on_time` are the one pending timeout."""

    def __init__(self, context: Context, stream_id: int, pool: StreamHost) -> None:
        super().__init__(context, stream_id, pool)
        self.connecting: GetUpstream | None = None
        self._whole_at = 0.0
        """When the request was whole, in monotonic seconds."""
        self._held_at = 0.0
        self._sent_at = 0.0
        self._key: UpstreamKey | None = None
        """The way that the current attempt goes."""
        self._broken: UpstreamKey | None = None
        """The way on which a connection broke: the next one there has to be new."""

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, (ResponseData, ResponseHeaders, ResponseEndOfMessage)):
            if self.server_state != self.state_done:  # else a late event of a cancelled attempt
                yield from self.server_state(event)
        elif isinstance(event, GoOn):
            if self.server_state == self.state_held:
                yield from self._go_on()
        else:
            yield from super()._handle_event(event)

    # The client's request

    def state_consume_request_body(self, event: events.Event) -> Commands:
        if not isinstance(event, RequestEndOfMessage):
            yield from super().state_consume_request_body(event)
            return
        request = self.flow.request
        request.timestamp_end = time.time()
        request.data.content = bytes(self.request_body_buf)
        self.request_body_buf.clear()
        self.client_state = self.state_done
        self.received = request
        if self._keeps_body:
            save_received_request(self.flow, request)
        yield HttpRequestHook(self.flow)
        if (yield from self._client_left()):
            return
        exchange = exchange_of(self.flow)
        if self.flow.response:
            yield from self._answer_locally()
        elif exchange is None:
            yield from self._refuse("no addon has taken this request up")
        else:
            self.exchange = exchange
            self.pool.trusted = True
            self._whole_at = self.pool.now()
            self._total_until = self._whole_at + exchange.timeouts.total
            yield from self._attempt()

    # An attempt

    def _attempt(self) -> Commands:
        self._drop_late_answers()
        self._incoming = Incoming(self.exchange.begin_attempt())
        self.flow.request = self._fresh_request()
        self.flow.response = self.flow.error = None
        self.exchange.age = self.pool.now() - self._whole_at
        yield AttemptHook(self.flow)
        if (yield from self._client_left()):
            return
        attempt = self._incoming.attempt
        if self.flow.response:
            yield from self._answer_locally()
        elif isinstance(self.exchange.step, Hold):
            yield from self._hold(self.exchange.step)
        elif attempt.failure:
            yield from self._failed(attempt.failure)
        elif not attempt.ready:
            yield from self._refuse("the request was not made ready to be sent")
        else:
            yield from self._send_upstream()

    def _fresh_request(self) -> http.Request:
        """Return what the client sent, without the headers of an earlier attempt's account."""
        request = copied(self.received)
        request.data.authority, request.data.http_version = b"", b"HTTP/1.1"
        return request

    def _drop_late_answers(self) -> None:
        """Drop queued events of the last attempt: they are not the next attempt's response."""
        endings = (RequestProtocolError, BreakOff)
        left = [e for e in self._paused_event_queue if isinstance(e, endings)]
        self._paused_event_queue.clear()
        self._paused_event_queue.extend(left)

    def _send_upstream(self, *, fresh: bool = False) -> Commands:
        error = yield from self._connect(fresh=fresh)
        if (yield from self._client_left()):
            return
        if error:
            yield from self._failed(self._unreached(error))
            return
        attempt = self._incoming.attempt
        if attempt.pins is not None and (shown := self._unpinned(attempt.pins)):
            yield from self._drop_upstream()
            yield from self._failed(
                Failure(FailureStage.PIN, None, "pin_mismatch", shown, sent=False)
            )
            return
        yield from self._wait_for_first_event()
        self.server_state = self.state_wait_for_response_headers
        attempt.sent = True
        self._sent_at = self.pool.now()
        self.exchange.count(attempt)
        body = self.flow.request.raw_content
        head = RequestHeaders(self.stream_id, self._as_sent(), end_stream=not body)
        yield SendHttp(head, self.context.server)
        if body:
            yield SendHttp(RequestData(self.stream_id, body), self.context.server)
        yield SendHttp(RequestEndOfMessage(self.stream_id), self.context.server)
        if attempt.next_key:
            self.pool.prepare(attempt.next_key)

    def _as_sent(self) -> http.Request:
        """Return the flow's request, or a copy with its credentials if they are masked."""
        if not self._incoming.attempt.masked:
            return self.flow.request
        request = copied(self.flow.request)
        request.headers.fields = unmasked_fields(self.flow)
        return request

    def _connect(self, *, fresh: bool) -> CommandGenerator[str | None]:
        """Connect to upstream. Return the error or None; the layer ends it after a timeout."""
        request, attempt = self.flow.request, self._incoming.attempt
        self._key = key = UpstreamKey(
            request.host, request.port, request.scheme == "https", attempt.via, attempt.pins
        )
        self.connecting = GetUpstream(key, fresh=fresh or key == self._broken)
        yield from self._wake_in(self.exchange.timeouts.connect, self._nothing)
        reply: tuple[Server | None, str | None] = yield self.connecting
        connection, error = reply
        self.connecting = None
        self.wake_at = math.inf
        if connection is not None:
            self.context.server = self.flow.server_conn = self._upstream = connection
            if lease := self.pool.lease_of(connection):
                attempt.reused = lease.reused
                attempt.connect_seconds, attempt.tls_seconds = (
                    lease.connect_seconds,
                    lease.tls_seconds,
                )
        return error

    def first_byte(self) -> None:
        """Note that upstream begins to answer."""
        if self._incoming.attempt.wait_seconds is None:
            self._incoming.attempt.wait_seconds = self.pool.now() - self._sent_at

    def _closed_unanswered(self, message: str) -> Commands:
        """Send the request again if a reused connection has ended: upstream may have closed it before.

        Not what upstream must not get twice. The new connection is not reused, so this happens once.
        """
        attempt = self._incoming.attempt
        if attempt.reused and attempt.wait_seconds is None and self.exchange.repeatable:
            yield from self._send_upstream(fresh=True)
        else:
            yield from super()._closed_unanswered(message)

    def _unreached(self, error: str) -> Failure:
        if error == GetUpstream.TIMED_OUT:
            via = self._incoming.attempt.via
            through = f" to the HTTP proxy {via.shown} ({via.source})" if via else ""
            return Failure.of_network("connect_timeout", error + through, sent=False)
        return unreached(
            error, self.flow.request.host, self._incoming.attempt.via, self.pool.issuers
        )

    def _unpinned(self, pins: Sequence[str]) -> str:
        """Return upstream's certificate if it is not a pinned one, else an empty text."""
        lease = self.pool.lease_of(self.flow.server_conn)
        fingerprint = lease.fingerprint if lease else ""
        if fingerprint in pins:
            return ""
        return f"{self.flow.request.host} shows the certificate {fingerprint or 'none'}"

    def _wait_for_first_event(self) -> Commands:
        limit = self.exchange.timeouts.first_event
        if self.exchange.kind in WHOLE_KINDS and not self.exchange.stream:
            limit = self.exchange.timeouts.total  # the response comes as a whole
        yield from self._wake_in(limit, self._too_late)

    def _too_late(self) -> Commands:
        yield from self._drop_upstream()
        yield from self._failed(Failure(FailureStage.TIMEOUT, None, "timeout", "no event to show"))

    def _failed(self, failure: Failure) -> Commands:
        """Ask addons for the next action, and take it. Awaiting the hook lets mitmproxy finish with the connection."""
        self.wake_at = math.inf
        self.server_state = self.state_between_attempts
        if failure.status is None and self.pool.now() >= self._total_until:
            failure = Failure(
                FailureStage.TIMEOUT, None, "total_timeout", "the time for the whole is up"
            )
        incoming, attempt = self._incoming, self._incoming.attempt
        if failure.status is None:
            self._broken = self._key
        if head := incoming.head:
            body = b"".join(incoming.held)
            attempt.upstream_response = UpstreamResponse(
                head.status_code, head.headers.fields, body
            )
        attempt.failure = replace(failure, headers=head.headers.fields if head else ())
        self.exchange.count(attempt)
        self.exchange.age = self.pool.now() - self._whole_at
        yield AttemptFailedHook(self.flow)
        if (yield from self._client_left()):
            return
        step = self.exchange.step
        if isinstance(step, Try):
            yield from self._attempt()
        elif isinstance(step, Pause):
            yield from self._wake_in(step.seconds, self._attempt)
        elif isinstance(step, Hold):
            yield from self._hold(step)
        elif isinstance(step, (Deliver, Reply)) and self.flow.response:
            yield from self._answer_locally()
        else:
            yield from self._refuse("no addon has decided what to do about a failed attempt")

    def _hold(self, step: Hold) -> Commands:
        """Wait until addons resume the request, or the step's end has come. The time does not count for timeouts."""
        self.server_state = self.state_held
        self.is_held = step.recovery
        self._held_at = self.pool.now()
        make_resumable(self.flow, partial(self.pool.resume_later, self.stream_id))
        yield HoldHook(self.flow)
        if (yield from self._client_left()):
            return
        if self.is_held and self.pool.stopping:
            yield from self._break_off()
            return
        self._on_time = self._go_on
        self.wake_at = self.pool.now() + max(0.0, step.until - time.time())
        yield from self.pool.wake(self.wake_at)

    def _go_on(self) -> Commands:
        self.is_held = False
        self._total_until += self.pool.now() - self._held_at
        yield from self._attempt()

    def state_held(self, _: events.Event) -> Commands:
        yield from ()

    def state_between_attempts(self, _: events.Event) -> Commands:
        yield from ()
