"""A forwarder that models distance: what is sent to `TARGET` through `PORT` takes a round trip.

Bytes and the end of a connection arrive half a round trip later. The kernel accepts connections on
loopback at once, so the handshake of TCP is modelled: the first bytes leave a round trip after it.

Run as `python -m bench.forwarder PORT TARGET ROUND-TRIP-MS`: it serves until its standard input closes.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque

from bench.children import HOST

_BACKLOG = 1024


class Line:
    """One direction of a connection: delivers `delay` seconds late, in order."""

    def __init__(self, delay: float, opens_at: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._delay = delay
        self._opens_at = opens_at
        self._sent: deque[tuple[float, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._target: asyncio.Transport | None = None

    def lead_to(self, target: asyncio.Transport) -> None:
        self._target = target
        self._deliver()

    def send(self, data: bytes) -> None:
        """Deliver `data` later; no bytes are the end."""
        due = max(self._loop.time(), self._opens_at) + self._delay
        self._sent.append((due, data))
        if not self._timer:
            self._timer = self._loop.call_at(due, self._deliver)

    def _deliver(self) -> None:
        if not self._target:
            return
        now = self._loop.time()
        while self._sent and self._sent[0][0] <= now:
            self._pass_on(self._target, self._sent.popleft()[1])
        if self._timer:
            self._timer.cancel()
        later = self._sent and self._loop.call_at(self._sent[0][0], self._deliver)
        self._timer = later or None

    def _pass_on(self, target: asyncio.Transport, data: bytes) -> None:
        if not data:
            target.close()
        elif not target.is_closing():
            target.write(data)


class End(asyncio.Protocol):
    """One end of a connection: what comes is sent along `line`."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def data_received(self, data: bytes) -> None:
        self._line.send(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._line.send(b"")


class Client(End):
    """A client's end, which opens the connection to the target."""

    def __init__(self, target: int, round_trip: float) -> None:
        now, way = asyncio.get_running_loop().time(), round_trip / 2
        self._target = target
        self._back = Line(way, now)
        super().__init__(Line(way, now + round_trip))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._back.lead_to(transport)
        self._opening = asyncio.create_task(self._open(transport))

    async def _open(self, client: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_connection(lambda: End(self._back), HOST, self._target)
        except OSError:
            client.abort()
        else:
            self._line.lead_to(transport)


async def main(port: int, target: int, round_trip: float) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Client(target, round_trip), HOST, port, backlog=_BACKLOG)
    await loop.run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000))
