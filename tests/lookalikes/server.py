"""What all look-alikes share: a server on loopback, a record of what came, a script to play.

A provider says in its own file how it checks a request and how its answers look on the wire; it
knows no network. Only public facts of its wire format are in there.
"""

from __future__ import annotations

import abc
import asyncio
import itertools
import json
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from neurolink_mitm.sandbox.wire import Protocol, Server, listen
from tests.lookalikes.script import Asked, Json, Reply, Script

LIMIT = 30.0
"""Seconds that any wait may take."""


@dataclass
class Received:
    """A request as it came."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    raw: bytes
    left: bool = False
    """The client went away before the end of the answer."""
    ended: bool = False
    """All of a stream was sent."""

    @property
    def body(self) -> Json:
        value = json.loads(self.raw)
        assert isinstance(value, dict)
        return value


class Refused(Exception):
    """The request is not what the provider takes; `detail` is for its error's own form."""

    def __init__(self, status: int, message: str, **detail: Any) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.detail = detail


class Served(abc.ABC):
    """An application on a free port of loopback, in a thread of its own. Starts and stops with `with`."""

    port = 0
    url = ""

    @abc.abstractmethod
    def app(self) -> Starlette: ...

    def __enter__(self) -> Self:
        ready = threading.Event()
        config = uvicorn.Config(
            self.app(),
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
        )
        config.load()
        self._server = Server(config, ready.set)
        listener = listen("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name=type(self).__name__, daemon=True
        )
        self._thread.start()
        assert ready.wait(LIMIT), "it did not start"
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.exit_soon()
        self._thread.join(LIMIT)
        assert not self._thread.is_alive(), "it did not stop"


class Lookalike(Served):
    """Starts and stops with `with`."""

    paths: Sequence[str]
    """Where it answers POST."""
    stream_type = "text/event-stream; charset=utf-8"

    def __init__(self) -> None:
        self.script = Script()
        self._received: list[Received] = []
        self._changed = threading.Condition()

    @abc.abstractmethod
    def check(self, request: Request, body: Json) -> None:
        """Raises Refused."""

    @abc.abstractmethod
    def asked(self, body: Json) -> Asked: ...

    @abc.abstractmethod
    def streams(self, request: Request, body: Json) -> bool: ...

    @abc.abstractmethod
    def events(self, reply: Reply, body: Json) -> Iterator[bytes]:
        """The answer as a stream, an event an item."""

    @abc.abstractmethod
    def whole(self, reply: Reply, body: Json) -> Json:
        """The answer as one body."""

    @abc.abstractmethod
    def error(self, status: int, message: str, **detail: Any) -> Json:
        """The body of an error."""

    @abc.abstractmethod
    def late_error(self, message: str) -> bytes:
        """An error as an event within a stream."""

    def routes(self) -> list[Route]:
        return [Route(path, self._answer, methods=["POST"]) for path in self.paths]

    def app(self) -> Starlette:
        # whatever else is asked is recorded too, and refused in the provider's form
        others = ["GET", "POST", "PUT", "DELETE"]
        lost = Route("/{path:path}", self._lost, methods=others)
        return Starlette(routes=[*self.routes(), lost])

    @property
    def requests(self) -> list[Received]:
        """A copy, oldest first."""
        with self._changed:
            return list(self._received)

    @property
    def last(self) -> Json:
        """Body of the newest request."""
        return self.requests[-1].body

    def wait_for_leaving(self) -> None:
        """Until the client of the newest request has left."""
        with self._changed:
            left = self._changed.wait_for(lambda: self._received[-1].left, LIMIT)
        assert left, "the client stayed"

    def wait_for_end(self) -> None:
        """Until the newest request's stream is over."""
        with self._changed:
            over = self._changed.wait_for(lambda: self._received[-1].ended, LIMIT)
        assert over, "the stream did not end"

    def assert_no_anthropic_credentials(self) -> None:
        """Neither in a path, nor in a header, nor anywhere in a body."""
        for request in self.requests:
            head = f"{request.path}?{request.query} {json.dumps(request.headers)}"
            said = head + request.raw.decode(errors="replace")
            assert "sk-ant" not in said, f"a credential of Anthropic arrived: {request.path}"

    async def _record(self, request: Request) -> Received:
        headers = {name.lower(): value for name, value in request.headers.items()}
        query = request.url.query
        received = Received(request.method, request.url.path, query, headers, await request.body())
        with self._changed:
            self._received.append(received)
        return received

    async def _lost(self, request: Request) -> Response:
        await self._record(request)
        return self._refusal(Refused(404, f"no such endpoint: {request.url.path}"))

    async def _answer(self, request: Request) -> Response:
        received = await self._record(request)
        try:
            body = self._parsed(received.raw)
            self.check(request, body)
        except Refused as refused:
            return self._refusal(refused)
        reply = self.script.next(self.asked(body))
        if reply.delay:
            await self._pause(request, received, reply.delay)
        if reply.hang_up:
            return _Cut()
        if reply.body is not None:
            return Response(reply.body, reply.status, reply.headers)
        if reply.status >= 400:
            return self._refusal(Refused(reply.status, reply.message), reply)
        if self.streams(request, body):
            content = self._played(request, received, reply, body)
            return StreamingResponse(content, 200, reply.headers, self.stream_type)
        return _json(self.whole(reply, body), 200, reply)

    async def _played(
        self, request: Request, received: Received, reply: Reply, body: Json
    ) -> AsyncIterator[bytes]:
        """Ends by itself, or is cancelled when the client leaves."""
        try:
            await asyncio.sleep(reply.silence)
            ends = min(
                (n for n in (reply.cut_after, reply.error_after) if n is not None), default=None
            )
            for event in itertools.islice(self.events(reply, body), ends):
                yield event
                await asyncio.sleep(reply.pause)
            if reply.error_after is not None and reply.error_after == ends:
                yield self.late_error(reply.message or "scripted failure")
            elif ends is not None:
                # after the bytes that were written before
                request.scope["state"]["transport"].close()
            self._change(received, "ended")
        except asyncio.CancelledError:
            self._change(received, "left")
            raise

    async def _pause(self, request: Request, received: Received, seconds: float) -> None:
        """Over at once where the client leaves."""
        gone = asyncio.ensure_future(request.receive())
        await asyncio.wait((gone,), timeout=seconds)
        if gone.done():
            self._change(received, "left")
            raise ClientDisconnect
        gone.cancel()

    def _change(self, received: Received, what: Literal["left", "ended"]) -> None:
        with self._changed:
            setattr(received, what, True)
            self._changed.notify_all()

    def _parsed(self, raw: bytes) -> Json:
        try:
            body = json.loads(raw)
        except ValueError as e:
            raise Refused(400, "We could not parse the JSON body of your request.") from e
        if not isinstance(body, dict):
            raise Refused(400, "The body of your request is no JSON object.")
        return body

    def _refusal(self, refused: Refused, reply: Reply | None = None) -> Response:
        body = self.error(refused.status, refused.message, **refused.detail)
        return _json(body, refused.status, reply or Reply())


class _Cut(Response):
    """Closes the connection without a word."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["transport"].close()


def _json(body: Json, status: int, reply: Reply) -> Response:
    return Response(json.dumps(body), status, reply.headers, "application/json")


def sse(data: Json, event: str | None = None, end: str = "\n\n") -> bytes:
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {json.dumps(data)}{end}".encode()


def phrase(status: int) -> str:
    return HTTPStatus(status).phrase
