"""Connections to upstream without a socket, dialled when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from neurolink_mitm.core.request.target import UpstreamKey
from neurolink_mitm.dataplane.upstreams.connection import PooledConnection
from neurolink_mitm.dataplane.upstreams.dial import DialError, Dialled
from neurolink_mitm.dataplane.upstreams.shared import Upstreams
from neurolink_mitm.dataplane.upstreams.tls import TlsFacts, UpstreamTrust

KEY = UpstreamKey("up.example", 443, True)
FACTS = TlsFacts("TLSv1.3", "AES", b"http/1.1", "up.example", (), "ab" * 32)


class FakeTransport(asyncio.Transport):
    """Notes what is asked of it. `unread` and `unsent` are what the kernel would have."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.aborted = self.paused = self.unread = False
        self.unsent = 0

    def write(self, data: Any) -> None:
        self.written += data

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_write_buffer_size(self) -> int:
        return self.unsent


class FakeConnection(PooledConnection):
    @property
    def transport(self) -> FakeTransport:
        return cast(FakeTransport, self._transport)

    @property
    def is_silent(self) -> bool:
        return not self.transport.unread


class Dialling:
    """Makes connections at once, or when `finish` is called if `held`; the first of `faults` fails the next."""

    def __init__(self) -> None:
        self.held = False
        self.faults: list[str | OSError | DialError] = []
        self.asked: list[UpstreamKey] = []
        self.made: list[FakeConnection] = []
        self._held: list[asyncio.Future[None]] = []

    async def __call__(
        self, key: UpstreamKey, make_protocol: Callable[[], asyncio.Protocol], _: UpstreamTrust
    ) -> Dialled:
        self.asked.append(key)
        if self.held:
            self._held.append(asyncio.get_running_loop().create_future())
            await self._held[-1]
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, DialError):
                raise fault
            raise DialError(str(fault)) from (fault if isinstance(fault, OSError) else None)
        connection, transport = cast(FakeConnection, make_protocol()), FakeTransport()
        connection.connection_made(transport)
        self.made.append(connection)
        here = ("127.0.0.1", 1)
        return Dialled(transport, connection, 0.1, 0.2, ("192.0.2.1", 443), here, FACTS)

    async def finish(self) -> None:
        self._held.pop(0).set_result(None)
        await turns()


async def turns(count: int = 5) -> None:
    """Let the loop turn, so that tasks and callbacks run that are ready."""
    for _ in range(count):
        await asyncio.sleep(0)


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make_upstreams(warm: int = 0) -> tuple[Upstreams, Dialling, FakeClock]:
    dialling, clock = Dialling(), FakeClock()
    upstreams = Upstreams(UpstreamTrust(), dialling, clock, FakeConnection)
    upstreams.warm = warm
    return upstreams, dialling, clock
