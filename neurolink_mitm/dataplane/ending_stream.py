"""How a stream ends: by a response of our own, in an error, because its client left, or because the proxy stops."""

from __future__ import annotations

import math

from mitmproxy import flow
from mitmproxy.connection import Connection
from mitmproxy.proxy import events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http import (
    DropStream,
    HttpErrorHook,
    HttpResponseHeadersHook,
    SendHttp,
)
from mitmproxy.proxy.layers.http._events import RequestProtocolError, ResponseProtocolError

from neurolink_mitm.core.exchange import Outcome, Reply
from neurolink_mitm.dataplane.bounded_stream import (
    STOPPING,
    BoundedStream,
    BreakOff,
    Commands,
    StreamHost,
)
from neurolink_mitm.dataplane.compat import CANCEL
from neurolink_mitm.dataplane.hooks import error_response, exchange_of


class EndingStream(BoundedStream):
    """The part of a stream that ends it, and that lets go of its upstream connection."""

    def __init__(self, context: Context, stream_id: int, pool: StreamHost) -> None:
        super().__init__(context, stream_id, pool)
        self._upstream: Connection | None = None

    def state_pass_on(self, event: events.Event) -> Commands:
        """Pass a response on that has been released."""
        raise NotImplementedError

    def _cut(self, message: str) -> Commands:
        """End a response that broke off."""
        raise NotImplementedError

    def _answer_locally(self) -> Commands:
        self._replying = True
        self.wake_at = math.inf
        yield HttpResponseHeadersHook(self.flow)
        if (yield from self._client_left()):
            return
        yield from self.send_response()

    def _refuse(self, why: str) -> Commands:
        """Answer with an error because an addon did not do its part; nothing is sent upstream."""
        self.flow.response = error_response(Reply(500, "api_error", f"NeuroLink refused: {why}"))
        yield from self._answer_locally()

    def _break_off(self) -> Commands:
        """End a response that has begun with an error event, and answer any other request with an error."""
        if self.server_state == self.state_pass_on:
            yield from self._drop_upstream()
            yield from self._cut(STOPPING.message)
        elif self._can_break_off:
            yield from self._drop_upstream()
            exchange = exchange_of(self.flow)
            self.flow.response = error_response(STOPPING, exchange.request_id if exchange else "")
            if self.client_state == self.state_done:
                yield from self._answer_locally()
            else:
                yield from self._answer_early()

    @property
    def _can_break_off(self) -> bool:
        """Whether no response has been sent or chosen yet."""
        over = (self.state_pass_on, self.state_done, self.state_errored)
        return not self._replying and self.server_state not in over

    def _end_in_error(self, message: str, outcome: Outcome) -> Commands:
        """End the flow without a complete response."""
        if exchange := exchange_of(self.flow):
            exchange.outcome = exchange.outcome or outcome
        self.wake_at = math.inf
        done = self.server_state in (self.state_done, self.state_errored)
        self.client_state = self.server_state = self.state_errored
        if not done:
            self.flow.error = flow.Error(message)
            yield HttpErrorHook(self.flow)
        self.flow.live = False
        yield DropStream(self.stream_id)

    def _client_left(self) -> CommandGenerator[bool]:
        left = [e for e in self._paused_event_queue if isinstance(e, RequestProtocolError)]
        killed = self.flow.error and self.flow.error.msg == flow.Error.KILLED_MESSAGE
        if not left and not killed:
            return (yield from self._broken_off())
        self._paused_event_queue.clear()
        yield from self._drop_upstream()
        message = left[0].message if left else flow.Error.KILLED_MESSAGE
        yield from self._end_in_error(message, Outcome.CANCELLED)
        if killed:
            gone = ResponseProtocolError(self.stream_id, "killed", CANCEL)
            yield SendHttp(gone, self.context.client)
        return True

    def _broken_off(self) -> CommandGenerator[bool]:
        broken_off = any(isinstance(event, BreakOff) for event in self._paused_event_queue)
        if not broken_off or not self._can_break_off:
            return False
        self._paused_event_queue.clear()
        yield from self._break_off()
        return True

    def _drop_upstream(self) -> Commands:
        """Cancel the attempt in flight, and ignore its late events."""
        if self._upstream is not None and self.pool.knows(self._upstream):
            gone = RequestProtocolError(self.stream_id, "attempt given up", CANCEL)
            yield SendHttp(gone, self._upstream)
        self._forget_upstream()

    def _forget_upstream(self) -> None:
        if self._upstream is not None:
            self.pool.forget(self._upstream)
            self._upstream = None
