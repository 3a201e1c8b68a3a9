"""The load: what the clients request, when they leave, and the results."""

import asyncio
import itertools
import json
import time
import uuid
from dataclasses import dataclass
from random import Random
from typing import Literal

import h11

from soak.answers import AnswerError, Asked, Ending, judge
from soak.client import Connection
from soak.connect_proxy import HOST
from soak.processes import TIMEOUTS

DEADLINE = TIMEOUTS["total"] + 10.0
"""Seconds after which a request counts as hung."""
_SIZES = (1_000, 20_000, 115_000)
_STREAMED = 0.8
_LEAVING = 0.05
_RECONNECTS = 0.1
"""Shares of requests: those that are streamed, that the client leaves, after which it reconnects."""
_MAX_WAIT = 2.0
"""Seconds that a client waits at most after a `Retry-After`."""

Caching = Literal["5m", "1h"]
CACHINGS: tuple[Caching | None, ...] = (None, "5m", "1h")
Leaving = Literal["while sending", "while waiting", "while reading"]
LEAVINGS: tuple[Leaving, ...] = ("while sending", "while waiting", "while reading")


@dataclass(frozen=True)
class Request:
    """A request. Its number is its trace id, which the proxy's rows have."""

    number: int
    session: str
    streamed: bool
    size: int
    leaves: Leaving | None
    caching: Caching | None = None

    @property
    def asked(self) -> Asked:
        return Asked(f"claude-soak-{self.number}", self.streamed)

    @property
    def trace_id(self) -> str:
        return f"{self.number:032x}"

    def body(self) -> bytes:
        system = {"type": "text", "text": "be brief " * (self.size // 9)}
        mark = {"cache_control": {"type": "ephemeral", "ttl": self.caching}}
        return json.dumps(
            {
                "model": self.asked.model,
                "max_tokens": 1024,
                "system": [system | mark if self.caching else system],
                "messages": [{"role": "user", "content": "say hi"}],
                "stream": self.streamed,
            }
        ).encode()

    def head(self, port: int, length: int) -> h11.Request:
        headers = {
            "host": f"{HOST}:{port}",
            "anthropic-version": "2023-06-01",
            "content-type": "application/json",
            "content-length": str(length),
            "user-agent": "claude-cli/2.1.0 (external, cli)",
            "x-api-key": "sk-ant-soak-caller",
            "x-claude-code-session-id": self.session,
            "traceparent": f"00-{self.trace_id}-{self.number:016x}-01",
        }
        return h11.Request(method="POST", target="/v1/messages", headers=list(headers.items()))


@dataclass(frozen=True)
class Result:
    """The result of a request. `status` is None if no response began."""

    request: Request
    ending: Ending
    status: int | None
    seconds: float
    detail: str = ""
    wait: float = 0.0
    """Seconds of its `Retry-After`."""


class Load:
    """A number of clients; `results` are those of all their requests so far."""

    def __init__(self, port: int, clients: int, seed: int) -> None:
        self.results: list[Result] = []
        self._port = port
        self._randoms = [Random(f"{seed} client {n}") for n in range(clients)]
        self._numbers = itertools.count(1)

    async def ask_once(self) -> None:
        """Send a first request: files that the proxy opens for it (logs) stay open."""
        request = Request(next(self._numbers), str(uuid.UUID(int=1)), True, _SIZES[0], None)
        result, connection = await self._ask(request, None, self._randoms[0])
        self.results.append(result)
        if connection:
            await connection.close()

    async def ask_until(self, end: float) -> None:
        """Send requests until `end` (monotonic seconds), and wait for those that are running."""
        await asyncio.gather(*(self._client(random, end) for random in self._randoms))

    async def _client(self, random: Random, end: float) -> None:
        await asyncio.sleep(random.uniform(0, 0.5))
        while time.monotonic() < end:
            await self._session(random, end)

    async def _session(self, random: Random, end: float) -> None:
        """Send several requests of one session, on one connection as long as that lasts."""
        session, connection = str(uuid.UUID(int=random.getrandbits(128))), None
        while time.monotonic() < end:
            request = self._request(random, session, end)
            result, connection = await self._ask(request, connection, random)
            self.results.append(result)
            if random.random() < _RECONNECTS:
                break
            await asyncio.sleep(random.uniform(0, 0.5) + min(result.wait, _MAX_WAIT))
        if connection:
            await connection.close()

    def _request(self, random: Random, session: str, end: float) -> Request:
        # unless it is streamed, a request to a silent upstream takes `TIMEOUTS["total"]`
        streamed = random.random() < _STREAMED or time.monotonic() > end - TIMEOUTS["total"]
        leaves = random.choice(LEAVINGS) if random.random() < _LEAVING else None
        size, caching = random.choice(_SIZES), random.choice(CACHINGS)
        return Request(next(self._numbers), session, streamed, size, leaves, caching)

    async def _ask(
        self, request: Request, connection: Connection | None, random: Random
    ) -> tuple[Result, Connection | None]:
        """Send a request; return its result, and the connection if it can be used again."""
        began = time.monotonic()
        attempt = _RunningRequest(request, self._port, connection, random)
        ending: Ending = "fault"
        detail = ""
        try:
            async with asyncio.timeout(DEADLINE):
                ending = await attempt.run()
        except TimeoutError:
            ending = "hung"
        except (OSError, h11.RemoteProtocolError, AnswerError) as e:
            detail = f"{type(e).__name__}: {e}"
        seconds = time.monotonic() - began
        result = Result(request, ending, attempt.status, seconds, detail, attempt.wait)
        return result, await attempt.reusable()


class _RunningRequest:
    """A request while it runs."""

    def __init__(
        self, request: Request, port: int, connection: Connection | None, random: Random
    ) -> None:
        self.status: int | None = None
        self.wait = 0.0
        self._request = request
        self._port = port
        self._connection = connection
        self._random = random
        self._whole = False

    async def run(self) -> Ending:
        connection = self._connection = self._connection or await Connection.open(self._port)
        leaves = self._request.leaves
        await self._send(connection)
        if leaves == "while waiting":
            await asyncio.sleep(self._random.uniform(0, 0.5))
        if leaves in ("while sending", "while waiting"):
            return "left"
        head = await connection.head()
        self.status = head.status_code
        body = b""
        while (data := await connection.more()) is not None:
            body += data
            if leaves and b"content_block_delta" in body:
                return "left"
        self._whole = True
        headers = dict(head.headers)
        self.wait = float(headers.get(b"retry-after", b"0"))
        content_type = headers.get(b"content-type", b"").decode()
        return judge(self._request.asked, head.status_code, content_type, body)

    async def reusable(self) -> Connection | None:
        """Return the connection if it can be used again, else close it."""
        if self._connection and not (self._whole and self._connection.again()):
            await self._connection.close()
            return None
        return self._connection

    async def _send(self, connection: Connection) -> None:
        body = self._request.body()
        await connection.send(self._request.head(self._port, len(body)))
        if self._request.leaves == "while sending":
            await connection.send(h11.Data(data=body[: len(body) // 2]))
            return
        await connection.send(h11.Data(data=body))
        await connection.send(h11.EndOfMessage())
