"""Upstream's response to one attempt: held back until it is released, then streamed, and ended well if it is cut."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

from mitmproxy import http
from mitmproxy.proxy import events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http import (
    HttpResponseHeadersHook,
    SendHttp,
)
from mitmproxy.proxy.layers.http._events import (
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)

from neurolink_mitm.core.exchange import Attempt, Exchange, Outcome, reader_for
from neurolink_mitm.core.failover.errors import Failure, FailureStage
from neurolink_mitm.core.request import headers
from neurolink_mitm.core.response.error_text import LONGEST
from neurolink_mitm.core.response.reader import EventStreamReader, ResponseReader, WholeReader
from neurolink_mitm.core.response.sse import KEEP_ALIVE as COMMENT
from neurolink_mitm.dataplane.bounded_stream import MAX_BODY, Commands, StreamHost
from neurolink_mitm.dataplane.codings import CodingError, Decoding, decoding
from neurolink_mitm.dataplane.compat import CANCEL
from neurolink_mitm.dataplane.ending_stream import EndingStream
from neurolink_mitm.dataplane.framing import client_head, copied, reframe
from neurolink_mitm.dataplane.hooks import ResponseCompleteHook

KEEP_ALIVE = 15.0
"""Seconds without a byte after which a client of OpenAI's API gets a comment; Anthropic's gets upstream's pings."""
LONG = 16 * 1024
"""Bytes of a response whose translation may take long at its end."""
GRACE = 2.0
"""Seconds after the first event at which the response is released, with content or without."""


@dataclass(slots=True)
class Incoming:
    """The response to one attempt, as far as it has come."""

    attempt: Attempt
    head: http.Response | None = None
    held: list[bytes] = field(default_factory=list)
    """Chunks that are not sent to the client yet."""
    decoding: Decoding | None = None
    """Undoes its content codings."""
    last_data: float = 0.0
    """Monotonic seconds."""

    @property
    def answer(self) -> ResponseReader:
        """Return its reader, which is there once the head has come."""
        assert self.attempt.reader
        return self.attempt.reader


class AnswerStream(EndingStream):
    """The part of a stream that receives responses."""

    received: http.Request
    exchange: Exchange
    _incoming: Incoming
    """Of the current attempt."""

    def __init__(self, context: Context, stream_id: int, pool: StreamHost) -> None:
        super().__init__(context, stream_id, pool)
        self._kept_size = 0
        self._last_sent = 0.0
        """When the client got the last byte, in monotonic seconds."""

    def _failed(self, failure: Failure) -> Commands:
        """End the attempt with `failure`."""
        raise NotImplementedError

    def _too_late(self) -> Commands:
        """End the attempt because of a timeout."""
        raise NotImplementedError

    def state_wait_for_response_headers(self, event: events.Event) -> Commands:
        if not isinstance(event, ResponseHeaders):
            return
        incoming, attempt = self._incoming, self._incoming.attempt
        incoming.head = head = self._uncompressed(event.response, bodiless=event.end_stream)
        fields = head.headers.fields
        # here, since a client that leaves before the release causes no `responseheaders`
        attempt.upstream_request_id = headers.name_in(fields, b"request-id")
        attempt.reader = reader_for(self.exchange, head.status_code, fields)
        self.server_state = self.state_hold
        if attempt.reader.released:
            yield from self._release()

    def _uncompressed(self, head: http.Response, *, bodiless: bool) -> http.Response:
        """Return the head for the client, and set up the decoding of its content codings."""
        coding = headers.get(head.headers.fields, b"content-encoding")
        if not coding or bodiless or self.exchange.plan is None or head.status_code == 206:
            return head  # part of an answer can't be decoded
        self._incoming.decoding = decoding(coding)
        if self._incoming.decoding is None:
            return head
        head = copied(head)  # mitmproxy still asks the original how long its body is
        fields = headers.without(head.headers.fields, (b"content-encoding", b"content-length"))
        head.headers = http.Headers(fields)
        return head

    def _decoded(self, event: events.Event) -> CommandGenerator[bytes | None]:
        """Return the decoded data of `event`, empty at the end; None if decoding has failed, which ends the attempt."""
        if self._incoming.decoding is None:
            return event.data if isinstance(event, ResponseData) else b""
        try:
            if isinstance(event, ResponseData):
                return self._incoming.decoding.feed(event.data)
            if self._incoming.decoding.whole:
                return b""
            fault = "its compression ends too early"
        except CodingError as e:
            fault = str(e)
        yield from self._drop_upstream()
        yield from self._broke_off(fault)
        return None

    def state_hold(self, event: events.Event) -> Commands:
        """Hold the response back until its reader releases it or finds a failure."""
        answer = self._incoming.answer
        data = yield from self._decoded(event)
        if data is None:
            return
        if isinstance(event, ResponseData):
            was_started = answer.started
            self._incoming.held.append(answer.feed(data))
            if answer.failure:
                yield from self._drop_upstream()
                yield from self._failed_in_answer(answer.failure)
            elif answer.released:
                yield from self._release()
            elif answer.started and not was_started:
                yield from self._wake_in(GRACE, self._release)
            elif isinstance(answer, WholeReader):  # held back to its end, but not silent
                yield from self._wake_in(self.exchange.timeouts.idle, self._too_late)
        elif isinstance(event, ResponseEndOfMessage):
            self._incoming.held.append(answer.end())
            if answer.failure:
                yield from self._failed_in_answer(answer.failure)
            else:
                yield from self._release(whole=True)
                if self.server_state == self.state_pass_on:
                    yield from self._finish()

    def _failed_in_answer(self, failure: Failure) -> Commands:
        """End the attempt; if upstream sent an error response, the addons get it as `flow.response`."""
        if self._incoming.head is not None and failure.stage is FailureStage.STATUS:
            self.flow.response = self._client_head(self._incoming.head)
            self.flow.response.headers.pop("transfer-encoding", None)
            # not `content`: that would compress it once more, if upstream has compressed it
            self.flow.response.raw_content = body = b"".join(self._incoming.held)
            self.flow.response.headers["content-length"] = str(len(body))  # it may be cut
        yield from self._failed(failure)

    def _release(self, *, whole: bool = False) -> Commands:
        """Send head and held chunks to the client: from here on there is no failover.

        `whole`: the response is complete.
        """
        assert self._incoming.head is not None
        self.flow.response = self._client_head(self._incoming.head)
        self.flow.response.stream = True
        self._incoming.answer.released = True
        self.server_state = self.state_pass_on
        self._incoming.last_data = self.pool.now()
        self._total_until = math.inf  # from here on `idle` alone counts
        self._last_sent = self._incoming.last_data
        yield from self._wake_in(self._patience, self._check_idle)
        yield HttpResponseHeadersHook(self.flow)
        if (yield from self._client_left()):
            return
        response, held = self.flow.response, b"".join(self._incoming.held)
        self._incoming.held.clear()
        if callable(response.stream):
            held = self._changed(held)
            if whole:
                last = yield from self._last()
                if last is None:
                    return
                held += last
                response.stream = True
            reframe(response, len(held) if whole else None, self.received)
        elif isinstance(self._incoming.answer, EventStreamReader):
            reframe(response, None, self.received)  # it may be closed by an event of ours
        self.exchange.status = (
            response.status_code
        )  # what has changed the body may have changed it, too
        yield SendHttp(ResponseHeaders(self.stream_id, response, False), self.context.client)
        yield from self._send(held)
        # they hold the body, which won't be sent again
        self.exchange.index = self.exchange.messages_request = self.exchange.client_request = None
        if self.pool.frugal:  # and nobody will look at it
            self.received.data.content = self.flow.request.data.content = None

    def state_pass_on(self, event: events.Event) -> Commands:
        data = yield from self._decoded(event)
        if data is None:
            return
        if isinstance(event, ResponseData):
            self._incoming.last_data = self.pool.now()
            yield from self._pass_on(self._incoming.answer.feed(data))
            if self._incoming.answer.failure:
                yield from self._drop_upstream()
                yield from self._cut(self._incoming.answer.failure.message)
        elif isinstance(event, ResponseEndOfMessage):
            yield from self._pass_on(self._incoming.answer.end())
            yield from self._finish()

    def _pass_on(self, data: bytes) -> Commands:
        if data:
            yield from self._send(self._changed(data))

    def _changed(self, data: bytes) -> bytes:
        """Apply the callable that addons have set as `stream`; empty data marks the end, as in mitmproxy."""
        response = self.flow.response
        assert response is not None
        if not callable(response.stream):
            return data
        chunks: Any = response.stream(data)
        return chunks if isinstance(chunks, bytes) else b"".join(chunks)

    def _last(self) -> CommandGenerator[bytes | None]:
        """Return what `_changed` gives at the end; None if the client has left while addons prepared it."""
        if self.exchange.answer and self._incoming.answer.size > LONG:
            yield ResponseCompleteHook(self.flow)
            if (yield from self._client_left()):
                return None
        return self._changed(b"")

    def _send(self, data: bytes) -> Commands:
        if data:  # an empty one would end a chunked body
            if self._keeps_body:
                self._keep(data)
            self._last_sent = self.pool.now()
            yield SendHttp(ResponseData(self.stream_id, data), self.context.client)

    def _keep(self, data: bytes) -> None:
        """Save the body for mitmweb; nothing of a body that is too long, as a part would look complete."""
        self._kept_size += len(data)
        if self._kept_size <= MAX_BODY:
            self.response_body_buf += data
        else:
            self.response_body_buf.clear()

    @property
    def _keeps_body(self) -> bool:
        """Whether the response's body stays in the flow, for mitmweb."""
        return not self.pool.frugal

    @property
    def _patience(self) -> float:
        """Seconds of silence until `_check_idle` has something to do."""
        idle = self.exchange.timeouts.idle
        return min(KEEP_ALIVE, idle) if self.exchange.answer else idle

    def _check_idle(self) -> Commands:
        now, until = self.pool.now(), self._incoming.last_data + self.exchange.timeouts.idle
        if now < min(until, self._total_until):
            if self.exchange.answer:
                yield from self._keep_alive(now)
                until = min(until, self._last_sent + KEEP_ALIVE)
            yield from self._wake_in(until - now, self._check_idle)
            return
        yield from self._drop_upstream()
        yield from self._cut("upstream fell silent")

    def _keep_alive(self, now: float) -> Commands:
        """Send a comment where it is time: what is translated goes to the client as whole events."""
        if now < self._last_sent + KEEP_ALIVE:
            return
        self._last_sent = now
        response = self.flow.response
        if response and response.headers.get("content-type", "").startswith("text/event-stream"):
            yield from self._send(COMMENT)

    def _cut(self, message: str) -> Commands:
        """End a response that broke off: by closing events if the format allows, else by closing the connection."""
        self.wake_at = math.inf
        closing = self._incoming.answer.cut(message)
        if closing is None:
            yield from self._end_in_error(message, Outcome.TRUNCATED)
            yield SendHttp(
                ResponseProtocolError(self.stream_id, message, CANCEL), self.context.client
            )
            return
        yield from self._pass_on(closing)
        yield from self._finish()

    def _finish(self) -> Commands:
        self.wake_at = math.inf
        if self.flow.response and callable(self.flow.response.stream):
            last = yield from self._last()
            if last is None:
                return
            yield from self._send(last)
        if self._keeps_body and self.flow.response:
            kept = bytes(self.response_body_buf) if self._kept_size <= MAX_BODY else None
            self.flow.response.data.content = kept
            self.response_body_buf.clear()
        yield from self.send_response(already_streamed=True)

    # What breaks off

    def handle_protocol_error(self, event: Any) -> Commands:
        """Handle a closed connection. The parent's handling is right only before anything was sent upstream."""
        message = event.message[:LONGEST]
        if isinstance(event, RequestProtocolError):
            if self.client_state == self.state_done:
                yield from self._drop_upstream()
            yield from self._end_in_error(message, Outcome.CANCELLED)
        elif self.server_state in (self.state_hold, self.state_pass_on):
            self._forget_upstream()
            yield from self._broke_off(message)
        elif self.server_state == self.state_wait_for_response_headers:
            self._forget_upstream()
            yield from self._closed_unanswered(message)

    def _closed_unanswered(self, message: str) -> Commands:
        """End an attempt whose connection has ended before a response began."""
        yield from self._failed(Failure.of_network("closed", message))

    def _broke_off(self, message: str) -> Commands:
        """End a response whose rest will not come."""
        if self.server_state == self.state_pass_on:
            yield from self._cut(message)
            return
        self._incoming.answer.cut(message)
        failure = self._incoming.answer.failure or Failure.of_network("cut", message)
        yield from self._failed_in_answer(failure)

    def _client_head(self, head: http.Response) -> http.Response:
        judged = self.exchange.plan is not None and head.status_code >= 300
        return client_head(head, self.received, time.time() if judged else None)
