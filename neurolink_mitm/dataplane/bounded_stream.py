"""The request's side of a stream: admitted by its head, with a bound on its body, and one pending timeout."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mitmproxy import http
from mitmproxy.connection import Connection
from mitmproxy.proxy import events
from mitmproxy.proxy.commands import StartHook
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http import (
    DropStream,
    HttpRequestHeadersHook,
    HttpResponseHeadersHook,
    HttpResponseHook,
    HttpStream,
    SendHttp,
)
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import (
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
)

from neurolink_mitm.core.exchange import Kind, Reply
from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request.target import UpstreamKey
from neurolink_mitm.dataplane.body_memory import BodyMemory
from neurolink_mitm.dataplane.hooks import error_response, exchange_of, mark_pool_flow
from neurolink_mitm.dataplane.upstreams.leases import Lease

MAX_BODY = 64 * 1024 * 1024
SOON_OVER = 1024 * 1024
"""Bytes of a refused body that are read and dropped, so that the connection can be used again."""

SHUT = Reply(500, "api_error", "NeuroLink refused: the gate did not come to an end")
TOO_LARGE = Reply(
    413, "request_too_large", f"the request body is over {MAX_BODY // 1024 // 1024} MB"
)
NO_ROOM = Reply(
    529, "overloaded_error", "too many large requests are under way in this proxy", retry_after=2
)
CROWDED = Reply(
    529, "overloaded_error", "too many clients are connected to this proxy", retry_after=2
)
STOPPING = Reply(529, "overloaded_error", "this proxy is stopping", retry_after=2)

Commands = CommandGenerator[None]


class StreamHost(Protocol):
    """The layer, as a stream sees it."""

    frugal: bool
    """Bodies are freed as soon as they are sent."""
    trusted: bool
    """A request of this client has reached upstream."""
    issuers: dict[str, str]
    """By host, the issuers of refused certificates."""
    crowded: Callable[[], bool]
    """Whether there are too many clients, so that this one is refused."""

    stopping: bool
    """The proxy stops."""

    @property
    def body_memory(self) -> BodyMemory: ...

    def now(self) -> float:
        """Return monotonic seconds."""

    def wake(self, at: float) -> Commands:
        """Wake the streams that wait until `at` (of `now`)."""

    def resume_later(self, stream_id: int) -> None:
        """Have the stream resumed, if it is held: called from outside the layer."""

    def lease_of(self, connection: Connection) -> Lease | None:
        """Return the use of the shared connection that `connection` stands for."""

    def prepare(self, key: UpstreamKey) -> None:
        """Have spare connections made: a request may soon go that way."""

    def knows(self, connection: Connection) -> bool:
        """Whether an upstream connection is still in use."""

    def forget(self, connection: Connection) -> None:
        """Ignore the events of an upstream connection from now on."""


@dataclass
class TimeIsUp(HttpEvent):
    """The moment that a stream waited for (`wake_at`) has come."""


@dataclass
class GoOn(HttpEvent):
    """A request that is held may go on."""


@dataclass
class BreakOff(HttpEvent):
    """The proxy stops, and ends this stream now."""


class BoundedStream(HttpStream):
    """States are methods, as in the parent. `wake_at` and `_on_time` are the one pending timeout."""

    def __init__(self, context: Context, stream_id: int, pool: StreamHost) -> None:
        super().__init__(context, stream_id)
        self.pool = pool
        self.wake_at = math.inf
        self._on_time: Callable[[], Commands] = self._nothing
        self._total_until = math.inf
        self._body_size = 0
        self._keeps_request = True
        self.is_held = False
        """Whether it waits for an account to recover."""
        self._replying = False
        """Whether a response of our own is being sent."""

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, TimeIsUp):
            yield from self._on_time()
        elif isinstance(event, BreakOff):
            yield from self._break_off()
        else:
            yield from super()._handle_event(event)

    def _wake_in(self, seconds: float, then: Callable[[], Commands]) -> Commands:
        """Call `then` in so many seconds, or when the total timeout ends."""
        self._on_time = then
        self.wake_at = min(self.pool.now() + seconds, self._total_until)
        yield from self.pool.wake(self.wake_at)

    def _nothing(self) -> Commands:
        yield from ()

    def _client_left(self) -> CommandGenerator[bool]:
        """End the stream, and return True, if the client left or the flow was killed during a hook."""
        raise NotImplementedError

    def _break_off(self) -> Commands:
        """End the stream now, because the proxy stops."""
        raise NotImplementedError

    @property
    def awaited_hook(self) -> StartHook | None:
        """The hook that the stream waits for."""
        command = self._paused.command if self._paused else None
        return command if isinstance(command, StartHook) else None

    @property
    def held(self) -> int:
        """The bytes of the request's body in memory."""
        flow: http.HTTPFlow | None = getattr(self, "flow", None)
        if flow is None:
            return len(self.request_body_buf)
        exchange = exchange_of(flow)
        client = exchange.client_request if exchange else None
        bodies = flow.request.data.content, client.body if client else None
        return len(self.request_body_buf) + sum(len(each or b"") for each in bodies)

    # The head

    def state_wait_for_request_headers(self, event: RequestHeaders) -> Commands:
        """Admit or refuse the request by its head, before the body is read."""
        self._begin_flow(event)
        yield HttpRequestHeadersHook(self.flow)
        if (yield from self._client_left()):
            return
        exchange = exchange_of(self.flow)
        refusal = self._head_refusal(event)
        if refusal and not self.flow.response:
            self.flow.response = error_response(refusal, exchange.request_id if exchange else "")
        if self.flow.response:
            yield from self._answer_early(whole=event.end_stream)
            return
        self.flow.request.stream = False  # whatever an addon says: it may be sent again
        self._keeps_request = exchange is None or exchange.kind is not Kind.LOCAL
        self.client_state = self.state_consume_request_body
        self.server_state = self.state_wait_for_response_headers
        yield from self._ask_for_body()

    def _begin_flow(self, event: RequestHeaders) -> None:
        self.flow = event.replay_flow or http.HTTPFlow(self.context.client, self.context.server)
        self.flow.request = event.request
        self.flow.live = True
        mark_pool_flow(self.flow)
        assert self.context.server.address  # of the placeholder: each attempt names its own
        request = event.request.data
        request.host, request.port = self.context.server.address[:2]
        request.scheme = b"http"

    def _head_refusal(self, event: RequestHeaders) -> Reply | None:
        """Return the refusal of a request that the gate has not admitted or that is too large; else None."""
        exchange = exchange_of(self.flow)
        if exchange is None or not exchange.admitted:
            return SHUT
        if self.pool.crowded() and exchange.kind is not Kind.LOCAL:
            return CROWDED
        announced = headers.get(self.flow.request.headers.fields, b"content-length")
        if event.end_stream or announced is None:
            return None
        if int(announced) > MAX_BODY:
            return TOO_LARGE
        return None if self.pool.body_memory.has(int(announced)) else NO_ROOM

    def _ask_for_body(self) -> Commands:
        """Answer `expect: 100-continue`, RFC 9110 section 10.1.1."""
        request = self.flow.request
        expected = headers.get(request.headers.fields, b"expect")
        if expected is None or expected.lower() != "100-continue":
            return
        del request.headers["expect"]
        if not request.is_http10:
            go_on = http.Response.make(100)
            go_on.headers.clear()
            yield SendHttp(ResponseHeaders(self.stream_id, go_on), self.context.client)

    # The body

    def state_consume_request_body(self, event: events.Event) -> Commands:
        """Read the body within bounds. Local pages need none, and store none."""
        if not isinstance(event, RequestData):
            yield from super().state_consume_request_body(event)
            return
        self._body_size += len(event.data)
        if self._keeps_request:
            self.request_body_buf += event.data
        if refusal := self._body_refusal(len(event.data)):
            self.request_body_buf.clear()
            exchange = exchange_of(self.flow)
            self.flow.response = error_response(refusal, exchange.request_id if exchange else "")
            yield from self._answer_early()

    def _body_refusal(self, more: int) -> Reply | None:
        if self._body_size > MAX_BODY:
            return TOO_LARGE
        fits = not self._keeps_request or self.pool.body_memory.take(more, self._body_size)
        return None if fits else NO_ROOM

    # A refusal

    def _answer_early(self, *, whole: bool = False) -> Commands:
        """Send the response before the body has come, and drop what comes of the body."""
        response = self.flow.response
        assert response is not None
        self._replying = True
        self.client_state = self.state_discard
        leaves = not whole and not self._is_soon_over()
        if leaves:
            response.headers["connection"] = "close"
        yield HttpResponseHeadersHook(self.flow)
        if (yield from self._client_left()):
            return
        yield HttpResponseHook(self.flow)
        self.server_state = self.state_done
        client = self.context.client
        yield SendHttp(ResponseHeaders(self.stream_id, response, False), client)
        yield SendHttp(ResponseData(self.stream_id, response.raw_content or b""), client)
        yield SendHttp(ResponseEndOfMessage(self.stream_id), client)
        if leaves:
            yield from self._be_gone()

    def _is_soon_over(self) -> bool:
        """Whether the body has come already or is small; after `expect` it may never come."""
        if any(isinstance(event, RequestEndOfMessage) for event in self._paused_event_queue):
            return True
        announced = self.flow.request.headers.get("content-length")
        small = announced is not None and int(announced) <= SOON_OVER
        return small and "expect" not in self.flow.request.headers

    def state_discard(self, event: events.Event) -> Commands:
        if isinstance(event, RequestEndOfMessage):
            yield from self._be_gone()

    def _be_gone(self) -> Commands:
        self.wake_at = math.inf
        self.flow.live = False
        yield DropStream(self.stream_id)
