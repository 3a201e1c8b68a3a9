"""The clients: Claude Code's requests at a steady pace or all at once, and how each ended."""

import asyncio
import itertools
import time
import uuid
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from bench.children import HOST
from bench.samples import percentile
from clustertest.wording import request_body

LIMIT = 60.0
"""Seconds, beside the pauses of its stream, after which a request counts as failed."""
_LAST_EVENT = b"event: message_stop"


@dataclass
class Result:
    """How a request ended. Times are seconds since the epoch."""

    number: int
    session: str
    sent: float = 0.0
    first_byte: float = 0.0
    ended: float = 0.0
    status: int = 0
    """0 if no response began."""
    account: str = ""
    request_id: str = ""
    complete: bool = False
    detail: str = ""

    @property
    def failed(self) -> bool:
        return not self.complete

    @property
    def first_byte_ms(self) -> float:
        return (self.first_byte - self.sent) * 1000


@dataclass(frozen=True)
class Latency:
    """Milliseconds from a request to the first byte of its answer."""

    p50: float
    p99: float
    most: float

    def __str__(self) -> str:
        return f"p50 {self.p50:.1f}, p99 {self.p99:.1f}, max {self.most:.0f} ms"


def latency(results: Iterable[Result]) -> Latency:
    times = [r.first_byte_ms for r in results if r.first_byte] or [0.0]
    return Latency(percentile(times, 50), percentile(times, 99), max(times))


def new_session() -> str:
    return str(uuid.uuid4())


class _Connection:
    """A connection kept for one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer


class Clients:
    """Sends requests to one port; `results` are those of all that have ended."""

    _numbers = itertools.count(1)

    def __init__(self, port: int, key: str = "sk-ant-clustertest-caller") -> None:
        self.results: list[Result] = []
        self._port = port
        self._key = key
        self._idle: deque[_Connection] = deque()

    async def steady(
        self, rate: float, seconds: float, sessions: Iterable[str] | None = None
    ) -> list[Result]:
        """Send `rate` new requests a second, whatever becomes of them; wait for all their answers."""
        names = itertools.cycle(sessions) if sessions else iter(new_session, None)
        began, tasks = time.monotonic(), []
        for n in range(round(rate * seconds)):
            await asyncio.sleep(began + n / rate - time.monotonic())
            tasks.append(asyncio.create_task(self.ask(next(names))))
        return list(await asyncio.gather(*tasks))

    async def ask(self, session: str, events: int = 8, pause: float = 0.0) -> Result:
        """Send a request and read its answer to the end. Never raises for what the proxy does."""
        result = Result(next(self._numbers), session)
        connection = None
        try:
            async with asyncio.timeout(LIMIT + events * pause):
                connection = await self._connection()
                body, result.sent = request_body(result.number, events, pause)
                connection.writer.write(self._head(session, len(body)) + body)
                reusable = await self._read(connection.reader, result)
            if reusable:
                self._idle.append(connection)
                connection = None
        except (OSError, TimeoutError, EOFError, ValueError) as e:
            result.detail = f"{type(e).__name__}: {e}"
        finally:
            if connection:
                connection.writer.close()
        result.ended = time.time()
        self.results.append(result)
        return result

    def close(self) -> None:
        while self._idle:
            self._idle.pop().writer.close()

    async def _connection(self) -> _Connection:
        while self._idle:
            idle = self._idle.pop()
            if not idle.reader.at_eof():
                return idle
            idle.writer.close()
        return _Connection(*await asyncio.open_connection(HOST, self._port))

    def _head(self, session: str, length: int) -> bytes:
        return (
            "POST /v1/messages?beta=true HTTP/1.1\r\n"
            f"host: {HOST}:{self._port}\r\n"
            "anthropic-version: 2023-06-01\r\n"
            "content-type: application/json\r\n"
            "user-agent: claude-cli/2.1.0 (external, cli)\r\n"
            f"x-api-key: {self._key}\r\n"
            f"x-claude-code-session-id: {session}\r\n"
            f"content-length: {length}\r\n\r\n"
        ).encode()

    async def _read(self, reader: asyncio.StreamReader, result: Result) -> bool:
        """Read the answer. Return whether the connection can be used again."""
        head = await reader.readuntil(b"\r\n\r\n")
        result.first_byte = time.time()
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        result.status = int(first.split(" ", 2)[1])
        result.account = headers.get("x-neurolink-account", "")
        result.request_id = headers.get("x-neurolink-request-id", "")
        body = await _body(reader, headers)
        result.complete = result.status == 200 and _LAST_EVENT in body
        if not result.complete:
            result.detail = body[-300:].decode(errors="replace")
        return headers.get("connection", "").lower() != "close"


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", ""):
        return await reader.readexactly(int(headers.get("content-length", "0")))
    whole = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        whole += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return whole
