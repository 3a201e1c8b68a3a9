"""Records of the last requests and their responses, for tests."""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = list[tuple[str, str]]
Requests = list["Received"]

MAX_BODY = 32 * 1024 * 1024
"""Bytes of a body beyond which the response is a 413: https://docs.anthropic.com/en/api/errors#request-size-limits"""


@dataclass
class Received:
    """The record of a request and its response. Times are of `time.monotonic`, the same in all processes."""

    method: str
    path: str  # with the query
    headers: Headers  # in order, names in lower case
    time: float  # when the head was read
    request_id: str  # as in the response's `request-id`
    body: bytes = b""
    too_large: bool = False  # `body` is empty then
    account: str | None = None
    status: int | None = None  # of the head that was sent
    # each write of the response's body
    sent: list[tuple[float, bytes]] = field(default_factory=list)
    disconnected: bool = False  # the client left before the end of the response
    done: bool = False  # the record is complete

    @property
    def answer(self) -> bytes:
        """Return the body of the response, as far as it was sent."""
        return b"".join(data for _, data in self.sent)

    def header(self, name: str) -> str | None:
        """Return the first header of this name."""
        return next((value for key, value in self.headers if key == name.lower()), None)


class Recorder:
    """The records of the last `keep` requests; without `bodies`, of their heads only.

    The server's thread writes it, any thread reads it.
    """

    def __init__(self, keep: int, bodies: bool) -> None:
        self.bodies = bodies
        self._requests: deque[Received] = deque(maxlen=keep)
        self._changed = threading.Condition()

    @property
    def requests(self) -> Requests:
        """Return the records, oldest first."""
        with self._changed:
            return list(self._requests)

    def clear(self) -> None:
        with self._changed:
            self._requests.clear()

    def wait_for(self, predicate: Callable[[Requests], bool], timeout: float) -> Requests:
        """Wait until `predicate` holds; an IndexError in it means not yet. Raises TimeoutError."""

        def holds() -> bool:
            try:
                return predicate(list(self._requests))
            except IndexError:
                return False

        with self._changed:
            if not self._changed.wait_for(holds, timeout):
                records = [(r.method, r.path, r.status, r.disconnected) for r in self._requests]
                raise TimeoutError(f"not so within {timeout} s; received: {records}")
            return list(self._requests)

    def received(self, request: Received) -> None:
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    def admitted(self, request: Received, account: str) -> None:
        with self._changed:
            request.account = account
            self._changed.notify_all()

    def head_sent(self, request: Received, status: int) -> None:
        with self._changed:
            request.status = status
            self._changed.notify_all()

    def body_sent(self, request: Received, data: bytes) -> None:
        if self.bodies:
            with self._changed:
                request.sent.append((time.monotonic(), data))
                self._changed.notify_all()

    def left(self, request: Received) -> None:
        with self._changed:
            request.disconnected = True
            self._changed.notify_all()

    def finished(self, request: Received) -> None:
        with self._changed:
            request.done = True
            if not self.bodies:
                request.body = b""
            self._changed.notify_all()


class Recording:
    """The outermost ASGI layer: reads a request to its end, and records it and its response.

    The record is in `scope["state"]["received"]`. Requests of `control` are not recorded.
    """

    def __init__(self, app: ASGIApp, recorder: Recorder) -> None:
        self._app = app
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = _received(scope)
        scope["state"]["received"] = request
        if request.path.startswith("/sandbox/"):
            await self._app(scope, receive, send)
            return
        self._recorder.received(request)
        try:
            if await self._read(request, receive):
                await self._app(scope, receive, self._recorded(request, send))
            else:
                self._recorder.left(request)
        finally:
            self._recorder.finished(request)

    async def _read(self, request: Received, receive: Receive) -> bool:
        """Read the body; return False if the client left before its end."""
        chunks: list[bytes] = []
        more, size = True, 0
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            size += len(message["body"])
            chunks.append(message["body"])
            if size > MAX_BODY:
                # the body is read to its end all the same: else the client couldn't read the 413
                chunks.clear()
            more = message["more_body"]
        request.body = b"".join(chunks)
        request.too_large = size > MAX_BODY
        return not more

    def _recorded(self, request: Received, send: Send) -> Send:
        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._recorder.head_sent(request, message["status"])
            elif data := message.get("body"):
                self._recorder.body_sent(request, data)
            await send(message)

        return recorded


def _received(scope: Scope) -> Received:
    query: bytes = scope["query_string"]
    path: bytes = scope["raw_path"] + (b"?" + query if query else b"")
    return Received(
        method=scope["method"],
        path=path.decode("latin-1"),
        headers=[(k.decode("latin-1"), v.decode("latin-1")) for k, v in scope["headers"]],
        time=time.monotonic(),
        request_id=new_id("req_01"),
    )


def new_id(prefix: str) -> str:
    """Return a random id that begins with `prefix`."""
    return prefix + secrets.token_hex(11)
