"""A request within bounds: mitmproxy's `HttpStream` with a limit on the body, and one timeout at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mitmproxy.proxy import events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http import (
    DropStream,
    HttpRequestHeadersHook,
    HttpResponseHook,
    HttpStream,
    SendHttp,
)
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import (
    RequestEndOfMessage,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)

from neurolink_mitm.core.exchange import Reply
from neurolink_mitm.mitm.compat import CANCEL
from neurolink_mitm.mitm.hooks import error_response

if TYPE_CHECKING:
    from neurolink_mitm.mitm.pool_layer import PoolLayer

MAX_BODY = 64 * 1024 * 1024
DISCARD = 30.0
"""Seconds a client may go on sending a body that has been refused."""

Commands = CommandGenerator[None]


@dataclass
class TimeIsUp(HttpEvent):
    """The moment that a stream waited for (`wake_at`) has come."""


class BoundedStream(HttpStream):
    """States are methods, as in the parent. `wake_at` and `_on_time` are the one pending timeout."""

    def __init__(self, context: Context, stream_id: int, pool: PoolLayer) -> None:
        super().__init__(context, stream_id)
        self.pool = pool
        self.wake_at = math.inf
        self._on_time: Callable[[], Commands] = self._nothing
        self._total_until = math.inf

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, TimeIsUp):
            yield from self._on_time()
        else:
            yield from super()._handle_event(event)

    def _wake_in(self, seconds: float, then: Callable[[], Commands]) -> Commands:
        """Go on with `then` in so many seconds, or when the time for the whole is up."""
        self._on_time = then
        self.wake_at = min(time.monotonic() + seconds, self._total_until)
        yield from self.pool.wake(self.wake_at)

    def _nothing(self) -> Commands:
        yield from ()

    def check_body_size(self, request: bool) -> CommandGenerator[bool]:
        """In place of the parent's, which answers with HTML. Upstream's answers aren't collected here."""
        if request and self._expected_size() > MAX_BODY:
            yield from self._refuse_body()
            return True
        return False

    def _expected_size(self) -> int:
        if self.request_body_buf:
            return len(self.request_body_buf)
        announced = self.flow.request.headers.get("content-length", "0")
        return int(announced) if announced.isdigit() else 0

    def _refuse_body(self) -> Commands:
        if not self.request_body_buf:
            yield HttpRequestHeadersHook(self.flow)  # nobody has seen this flow yet
        self.request_body_buf.clear()
        self.client_state = self.state_discard
        limit = f"the request body is over {MAX_BODY // 1024 // 1024} MB"
        self.flow.response = error_response(Reply(413, "request_too_large", limit))
        self.flow.response.headers["connection"] = "close"
        yield HttpResponseHook(self.flow)
        client, response = self.context.client, self.flow.response
        yield SendHttp(ResponseHeaders(self.stream_id, response, False), client)
        yield SendHttp(ResponseData(self.stream_id, response.raw_content or b""), client)
        yield SendHttp(ResponseEndOfMessage(self.stream_id), client)
        yield from self._wake_in(DISCARD, self._close_client)

    def state_discard(self, event: events.Event) -> Commands:
        """The request was refused before its end; hanging up at once could cost the client our answer."""
        if isinstance(event, RequestEndOfMessage):
            self.wake_at = math.inf
            self.flow.live = False
            yield DropStream(self.stream_id)

    def _close_client(self) -> Commands:
        enough = ResponseProtocolError(self.stream_id, "discarded enough", CANCEL)
        yield SendHttp(enough, self.context.client)
