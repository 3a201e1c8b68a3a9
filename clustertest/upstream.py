"""The counting upstream: Anthropic's Messages API and token endpoint, in a process of its own.

Run as `python -m clustertest.upstream PORT…`: a port for each replica, so that a record says which one sent a
request. It serves until its standard input closes, so it can't outlive the test. Clients write their number and
the time of sending into the message (`wording`), which the proxy hands on byte for byte.

`POST /control` changes accounts, `GET /record` returns what was counted.
"""

import asyncio
import json
import re
import sys
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from bench.children import HOST
from bench.payloads import Pace, events
from clustertest.wording import Wanted, read_wanted

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CREDENTIAL = re.compile(
    rb"\r\n(?:authorization: bearer |x-api-key: )sk-ant-(api|oat)-([a-z0-9]+)-(\d+)\r\n",
    re.IGNORECASE,
)
_REFRESH_TOKEN = re.compile(r"sk-ant-ort-([a-z0-9]+)-(\d+)")
_HEAD_END = b"\r\n\r\n"
_READ_LIMIT = 1 << 20
_BACKLOG = 1024


@dataclass
class Account:
    """How an account answers, and its tokens: `generation` is that of the refresh token that is good."""

    retry_after: int | None = None
    """Seconds of the 429 that it answers with; None: it answers well."""
    generation: int = 0
    oldest_access: int = 0
    """Access tokens of earlier generations are expired."""
    lasts: float = 36_000.0
    """Seconds for which new tokens are good, as the endpoint reports them."""
    refresh_delay: float = 0.0
    """Seconds before tokens are exchanged: for those who wait so long only."""


@dataclass
class Arrival:
    """A request, as upstream saw it. Times are seconds since the epoch."""

    number: int
    account: str
    replica: int
    generation: int
    """That of its credential."""
    sent: float
    arrived: float
    status: int = 0
    answered: float = 0.0
    complete: bool = False


@dataclass
class Refresh:
    """A request at the token endpoint. `status` is 0 while it waits, 499 if its sender left before the exchange."""

    account: str
    generation: int
    replica: int
    arrived: float
    status: int = 0


@dataclass
class Record:
    """What was counted since the last reset."""

    arrivals: list[Arrival] = field(default_factory=list)
    refreshes: list[Refresh] = field(default_factory=list)
    strangers: int = 0
    """Requests with a credential of no account."""
    most: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """The most requests under way at once, by account."""


class Upstream:
    """The accounts, and the record."""

    def __init__(self) -> None:
        self._accounts: defaultdict[str, Account] = defaultdict(Account)
        self._record = Record()
        self._under_way: defaultdict[str, int] = defaultdict(int)

    async def serve_client(
        self, replica: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while True:
                head = await reader.readuntil(_HEAD_END)
                length = _CONTENT_LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                await self._answer(replica, head, body, reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client is done
        finally:
            writer.close()

    async def _answer(
        self,
        replica: int,
        head: bytes,
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        path = head.split(b" ", 2)[1].partition(b"?")[0]
        if path == b"/control":
            self._control(json.loads(body))
            _write_json(writer, 200, {})
        elif path == b"/record":
            _write_json(writer, 200, asdict(self._record))
        elif path.endswith(b"/oauth/token"):
            await self._refresh(replica, json.loads(body), reader, writer)
        elif path == b"/v1/messages":
            await self._message(replica, head, body, writer)
        else:
            _write_json(writer, 404, _error("not_found_error", "not here"))
        await writer.drain()

    def _control(self, order: dict[str, Any]) -> None:
        if order.get("reset"):
            self._record = Record()
            self._record.most.update(self._under_way)
        for name, fields in order.get("accounts", {}).items():
            for key, value in fields.items():
                setattr(self._accounts[name], key, value)

    async def _message(
        self, replica: int, head: bytes, body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        arrived = time.time()
        credential = _CREDENTIAL.search(head)
        if not credential:
            self._record.strangers += 1
            _write_json(writer, 401, _error("authentication_error", "invalid x-api-key"))
            return
        name = credential[2].decode()
        wanted = read_wanted(body)
        generation = int(credential[3])
        arrival = Arrival(wanted.number, name, replica, generation, wanted.sent, arrived)
        self._record.arrivals.append(arrival)
        self._under_way[name] += 1
        self._record.most[name] = max(self._record.most[name], self._under_way[name])
        try:
            oldest = self._accounts[name].oldest_access
            expired = credential[1].lower() == b"oat" and generation < oldest
            await self._play(arrival, wanted, expired=expired, writer=writer)
        finally:
            self._under_way[name] -= 1

    async def _play(
        self, arrival: Arrival, wanted: Wanted, *, expired: bool, writer: asyncio.StreamWriter
    ) -> None:
        retry_after = self._accounts[arrival.account].retry_after
        if expired:
            arrival.status = 401
            _write_json(writer, 401, _error("authentication_error", "OAuth token has expired"))
        elif retry_after is not None:
            arrival.status = 429
            limited = _error("rate_limit_error", "This request would exceed your rate limit.")
            _write_json(writer, 429, limited, f"retry-after: {retry_after}\r\n")
        else:
            arrival.status = 200
            await _stream(writer, wanted)
        arrival.answered = time.time()
        arrival.complete = True

    async def _refresh(
        self,
        replica: int,
        form: dict[str, Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        token = _REFRESH_TOKEN.fullmatch(str(form.get("refresh_token")))
        if not token:
            self._record.strangers += 1
            _write_json(writer, 400, {"error": "invalid_grant"})
            return
        name, generation = token[1], int(token[2])
        account = self._accounts[name]
        refresh = Refresh(name, generation, replica, time.time())
        self._record.refreshes.append(refresh)
        deadline = time.monotonic() + account.refresh_delay
        while time.monotonic() < deadline and not reader.at_eof():
            await asyncio.sleep(0.005)
        if reader.at_eof():
            refresh.status = 499
        elif generation != account.generation:
            refresh.status = 400
            _write_json(writer, 400, {"error": "invalid_grant"})
        else:
            refresh.status = 200
            account.generation += 1
            granted = {
                "access_token": f"sk-ant-oat-{name}-{account.generation}",
                "refresh_token": f"sk-ant-ort-{name}-{account.generation}",
                "expires_in": account.lasts,
                "token_type": "Bearer",
            }
            _write_json(writer, 200, granted)


async def _stream(writer: asyncio.StreamWriter, wanted: Wanted) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    writer.write(head + b"request-id: req_clustertest\r\n\r\n")
    chunks = [b"%x\r\n%s\r\n" % (len(each), each) for each in events(Pace(wanted.events))]
    if not wanted.pause:
        writer.write(b"".join(chunks))
    else:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(wanted.pause)
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def _write_json(
    writer: asyncio.StreamWriter, status: int, answer: dict[str, Any], headers: str = ""
) -> None:
    body = json.dumps(answer).encode()
    head = (
        f"HTTP/1.1 {status} Clustertest\r\ncontent-type: application/json\r\n{headers}"
        f"content-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)


async def serve(ports: list[int]) -> None:
    upstream = Upstream()
    for replica, port in enumerate(ports):
        serve_client = partial(upstream.serve_client, replica)
        await asyncio.start_server(serve_client, HOST, port, limit=_READ_LIMIT, backlog=_BACKLOG)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(serve([int(port) for port in sys.argv[1:]]))
