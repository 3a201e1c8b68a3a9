"""A connection before it is handed over: what comes is read by us, as an HTTP proxy's answer to CONNECT."""

from __future__ import annotations

import asyncio
import re

from neurolink_mitm.core.failover.unreachable import NO_TUNNEL
from neurolink_mitm.dataplane.upstreams.failure import DialError

MAX_HEAD = 64 * 1024
"""Bytes of a proxy's answer to CONNECT at most."""
_BLANK_LINE = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(r"HTTP/1\.\d[ \t]+(\d{3})(?:[ \t]+(.*))?")


class Unused(asyncio.Protocol):
    """The protocol of a connection that nobody uses yet: keeps what comes, and whether it was closed."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.closed = False
        self._waiter: asyncio.Future[None] | None = None

    def data_received(self, data: bytes) -> None:
        if len(self.received) <= MAX_HEAD:
            self.received += data
        self._wake()

    def eof_received(self) -> None:
        self.closed = True
        self._wake()

    def connection_lost(self, _: Exception | None) -> None:
        self.closed = True
        self._wake()

    def check(self) -> None:
        """Raise `DialError` if the connection can't be used any more."""
        if self.received:
            raise DialError("sent bytes that nobody has asked for")
        if self.closed:
            raise DialError("closed the connection at once")

    async def head(self) -> bytes:
        """Take the head of an answer. Raises `DialError`."""
        looked = 0
        while not (end := _BLANK_LINE.search(self.received, max(looked - 2, 0))):
            looked = len(self.received)
            if looked > MAX_HEAD:
                raise DialError(f"its answer to CONNECT is over {MAX_HEAD // 1024} KiB")
            if self.closed:
                raise DialError("closed the connection instead of an answer to CONNECT")
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        head = bytes(self.received[: end.start()])
        del self.received[: end.end()]
        return head

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)


async def ask_for_tunnel(
    transport: asyncio.WriteTransport, unused: Unused, host: bytes, port: int, login: str | None
) -> None:
    """Have the HTTP proxy open a tunnel to `host`. Raises `DialError`."""
    authority = b"%b:%d" % (b"[%b]" % host if b":" in host else host, port)
    transport.write(
        b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n"
        % (
            authority,
            authority,
            b"Proxy-Authorization: %b\r\n" % login.encode() if login else b"",
        )
    )
    first = (await unused.head()).split(b"\n", 1)[0].decode("latin-1").strip()
    answer = _STATUS_LINE.fullmatch(first)
    if answer is None:
        raise DialError("does not answer as an HTTP proxy")
    if not answer[1].startswith("2"):
        text = f"{NO_TUNNEL}{answer[1]} {answer[2] or ''}"
        raise DialError(text, permanent=answer[1] == "407")
    unused.check()
