"""The clients: what they ask for, when they leave, and what they were told."""

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
from soak.processes import HOST, TIMEOUTS

DEADLINE = TIMEOUTS["total"] + 10.0
"""Seconds that a request may take."""
_SIZES = (1_000, 20_000, 115_000)
_STREAMED = 0.8
_LEAVING = 0.05
_CONNECTS_ANEW = 0.1
_PATIENCE = 2.0
"""Seconds that a client who was told to come back later waits at most."""

Caching = Literal["5m", "1h"]
CACHINGS: tuple[Caching | None, ...] = (None, "5m", "1h")
Leaving = Literal["while sending", "while waiting", "while reading"]
LEAVINGS: tuple[Leaving, ...] = ("while sending", "while waiting", "while reading")


@dataclass(frozen=True)
class Request:
    """Its number is found again in the journal, as the trace that it belongs to."""

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
class Told:
    """What became of a request. `status` is None where no answer had begun."""

    request: Request
    ending: Ending
    status: int | None
    seconds: float
    detail: str = ""
    wait: float = 0.0
    """Seconds that the answer asked the client to wait."""


class Crowd:
    """So many clients, who come and go; `told` is what all of them have heard so far."""

    def __init__(self, port: int, clients: int, seed: int) -> None:
        self.told: list[Told] = []
        self._port = port
        self._chances = [Random(f"{seed} client {n}") for n in range(clients)]
        self._numbers = itertools.count(1)

    async def ask_once(self) -> None:
        """A first request: what the proxy opens with it (log files, say) stays open."""
        request = Request(next(self._numbers), str(uuid.UUID(int=1)), True, _SIZES[0], None)
        told, connection = await self._ask(request, None, self._chances[0])
        self.told.append(told)
        if connection:
            await connection.close()

    async def ask_until(self, end: float) -> None:
        """Nobody begins a request after `end` (monotonic seconds); those under way are waited for."""
        await asyncio.gather(*(self._client(chance, end) for chance in self._chances))

    async def _client(self, chance: Random, end: float) -> None:
        await asyncio.sleep(chance.uniform(0, 0.5))
        while time.monotonic() < end:
            await self._visit(chance, end)

    async def _visit(self, chance: Random, end: float) -> None:
        """One session: several requests, on one connection as long as that lasts."""
        session, connection = str(uuid.UUID(int=chance.getrandbits(128))), None
        while time.monotonic() < end:
            request = self._request(chance, session, end)
            told, connection = await self._ask(request, connection, chance)
            self.told.append(told)
            if chance.random() < _CONNECTS_ANEW:
                break
            await asyncio.sleep(chance.uniform(0, 0.5) + min(told.wait, _PATIENCE))
        if connection:
            await connection.close()

    def _request(self, chance: Random, session: str, end: float) -> Request:
        # a silent upstream is waited for to the end, unless the answer is streamed
        streamed = chance.random() < _STREAMED or time.monotonic() > end - TIMEOUTS["total"]
        leaves = chance.choice(LEAVINGS) if chance.random() < _LEAVING else None
        size, caching = chance.choice(_SIZES), chance.choice(CACHINGS)
        return Request(next(self._numbers), session, streamed, size, leaves, caching)

    async def _ask(
        self, request: Request, connection: Connection | None, chance: Random
    ) -> tuple[Told, Connection | None]:
        """What it was told, and the connection if it can be used again."""
        began = time.monotonic()
        visit = _Visit(request, self._port, connection, chance)
        ending: Ending = "fault"
        detail = ""
        try:
            async with asyncio.timeout(DEADLINE):
                ending = await visit.run()
        except TimeoutError:
            ending = "hung"
        except (OSError, h11.RemoteProtocolError, AnswerError) as e:
            detail = f"{type(e).__name__}: {e}"
        seconds = time.monotonic() - began
        told = Told(request, ending, visit.status, seconds, detail, visit.wait)
        return told, await visit.keep()


class _Visit:
    """One request on its way."""

    def __init__(
        self, request: Request, port: int, connection: Connection | None, chance: Random
    ) -> None:
        self.status: int | None = None
        self.wait = 0.0
        self._request = request
        self._port = port
        self._connection = connection
        self._chance = chance
        self._whole = False

    async def run(self) -> Ending:
        connection = self._connection = self._connection or await Connection.open(self._port)
        leaves = self._request.leaves
        await self._send(connection)
        if leaves == "while waiting":
            await asyncio.sleep(self._chance.uniform(0, 0.5))
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

    async def keep(self) -> Connection | None:
        """The connection if it can be used again, else it is closed."""
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
