"""The measuring client: raw HTTP/1.1 on keep-alive connections, every answer compared.

It takes its times when bytes reach this process and unpacks them only afterwards, to stay small
beside what it measures.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.children import HOST
from bench.payloads import Kind, Pace, session_id
from bench.processes import Server

_HEAD_END = b"\r\n\r\n"
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)


class AnswerError(Exception):
    """The answer is not the one upstream sent, or there is none."""


@dataclass(frozen=True)
class Timing:
    """Seconds from the first byte sent to the first and to the last byte of the answer's body."""

    first_byte: float
    total: float


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._received = bytearray()
        self._body_at = 0
        self.arrivals: list[float] = []
        """Times at which bytes of the latest answer's body came."""
        self._lost: Exception | None = None
        self._done: asyncio.Future[float] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._received += data
        if not self._body_at:
            self._body_at = end_of_head(self._received)
        if self._body_at and len(self._received) > self._body_at:
            self.arrivals.append(now)
        if self._done and not self._done.done() and self._is_complete():
            self._done.set_result(now)

    def connection_lost(self, exc: Exception | None) -> None:
        seen = f"after {len(self._received)} bytes of the answer"
        self._lost = AnswerError(f"connection closed {seen}" + (f": {exc}" if exc else ""))
        if self._done and not self._done.done():
            self._done.set_exception(self._lost)

    def close(self) -> None:
        self._transport.abort()

    async def exchange(
        self, message: bytes, expected: bytes, read: Callable[[bytes], bytes] = bytes
    ) -> Timing:
        """Send a request. `read` makes of the answer's body what is `expected`."""
        if self._lost:
            raise self._lost
        self._received.clear()
        self._body_at, self.arrivals = 0, []
        self._done = asyncio.get_running_loop().create_future()
        started = time.perf_counter()
        self._transport.write(message)
        ended = await self._done
        check(bytes(self._received), self._body_at, expected, read)
        return Timing(self.arrivals[0] - started, ended - started)

    def _is_complete(self) -> bool:
        if not self._body_at:
            return False
        length = _CONTENT_LENGTH.search(self._received, 0, self._body_at)
        if length:
            return len(self._received) - self._body_at >= int(length[1])
        return self._received.endswith(b"\r\n0\r\n\r\n", self._body_at)


def end_of_head(received: bytearray) -> int:
    """Where the body begins; 0 while the head is incomplete."""
    at = received.find(_HEAD_END)
    return at + len(_HEAD_END) if at >= 0 else 0


def check(
    received: bytes, body_at: int, expected: bytes, read: Callable[[bytes], bytes] = bytes
) -> None:
    """Raise `AnswerError` unless this is a 200 with exactly the expected body, as `read` makes it."""
    head, body = received[:body_at], received[body_at:]
    if not head.startswith(b"HTTP/1.1 200"):
        status = head.partition(b"\r\n")[0].decode("latin-1")
        text = " ".join(body[:300].decode("utf-8", "replace").split())
        raise AnswerError(f"{status}: {text}")
    if _CHUNKED.search(head):
        body = b"".join(unchunked(body))
    if read(body) != expected:
        raise AnswerError(f"{len(body)} bytes came that are not the {len(expected)} sent")


def unchunked(body: bytes) -> Iterator[bytes]:
    at = 0
    while True:
        line_end = body.index(b"\r\n", at)
        size = int(body[at:line_end], 16)
        if not size:
            return
        yield body[line_end + 2 : line_end + 2 + size]
        at = line_end + size + 4


@asynccontextmanager
async def connections(server: Server, count: int) -> AsyncIterator[list[Connection]]:
    loop = asyncio.get_running_loop()
    opened: list[Connection] = []
    try:
        for _ in range(count):
            _, connection = await loop.create_connection(
                Connection, HOST, server.port, ssl=server.context
            )
            opened.append(connection)
        yield opened
    finally:
        for connection in opened:
            connection.close()


async def run_requests(
    server: Server, kind: Kind, requests: int, opened: list[Connection]
) -> tuple[list[Timing], float]:
    """Send so many requests, on each connection one after the other; the first fault ends it.

    Returns each one's times and the seconds that all took together.
    """
    numbers = iter(range(requests))
    timings: list[Timing] = []
    form = server.form
    expected = form.expected(kind, Pace())

    async def work(connection: Connection, message: bytes) -> None:
        for _ in numbers:
            timings.append(await connection.exchange(message, expected, form.read))

    messages = [form.request(server.port, kind, Pace(), session_id(n)) for n in range(len(opened))]
    started = time.perf_counter()
    await asyncio.gather(*map(work, opened, messages))
    return timings, time.perf_counter() - started
