"""The clients that are connected: how many there may be, and how long each may stay idle."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mitmproxy.connection import Client
from mitmproxy.proxy.server import ConnectionHandler

from neurolink_mitm.dataplane.caller_tls import shut
from neurolink_mitm.dataplane.client import Phase
from neurolink_mitm.dataplane.layer import FailoverLayer
from neurolink_mitm.dataplane.throttled_warning import ThrottledWarning

logger = logging.getLogger("neurolink.clients")

MOST = 1024
"""Clients at most; fewer where the system allows only few descriptors."""
MANY = 100
"""Clients above which memory counts for more than the time of a request."""
IDLE = 300.0
"""Seconds that a connection may stay open between requests."""
SILENT = 60.0
"""Seconds that a client may take to send its first byte."""
UNREAD = 30.0
"""Seconds that a disconnected client may take to read the rest of its response."""
NO_LIMIT = 10**9
"""Seconds in place of mitmproxy's own idle timeout of ten minutes, which also ends clients that wait for a response."""

_AT_REST = (Phase.IDLE, Phase.HEAD, Phase.LEAVING, Phase.CLOSED)


@dataclass(eq=False)
class Seat:
    """One client's connection."""

    handler: ConnectionHandler
    transport: asyncio.WriteTransport
    since: float
    """Monotonic seconds."""
    layer: FailoverLayer | None = None
    """None until the first byte."""

    @property
    def at_rest(self) -> bool:
        """Whether no request of this client is being read or answered."""
        return self.layer is None or self.layer.phase in _AT_REST

    def is_overdue(self, now: float) -> bool:
        if self.layer is None:
            return now - self.since > SILENT
        return self.layer.phase is Phase.IDLE and now - self.layer.phase_began > IDLE

    @property
    def has_unread(self) -> bool:
        """Whether the client has not read all that was written."""
        try:
            return self.transport.get_write_buffer_size() > 0
        except AttributeError:  # one of TLS forgets what is below it once it is closed
            return False

    def hang_up(self) -> None:
        io = self.handler.transports.get(self.handler.client)
        if io and io.handler:
            io.handler.cancel("idle")
        else:
            shut(self.transport)


@dataclass
class Clients:
    """The connected clients. If there are too many, those are disconnected first that have never reached upstream."""

    most: int = MOST
    clock: Callable[[], float] = time.monotonic
    _strangers: dict[str, Seat] = field(default_factory=dict)
    _known: dict[str, Seat] = field(default_factory=dict)
    """The clients of which a request has reached upstream."""
    _crowded: ThrottledWarning = field(
        default_factory=lambda: ThrottledWarning(
            logger, "too many clients are connected: idle ones are hung up on"
        )
    )

    def __len__(self) -> int:
        return len(self._strangers) + len(self._known)

    def connected(self, client: Client, handler: ConnectionHandler) -> None:
        handler.timeout_watchdog.timeout = NO_LIMIT
        writer = handler.transports[client].writer
        assert isinstance(writer, asyncio.StreamWriter)
        self._strangers[client.id] = Seat(handler, writer.transport, self.clock())
        while len(self) > self.most and (crowding := self._longest_at_rest()):
            self._crowded.warn()
            self._remove(crowding)

    def speaks(self, client: Client, layer: FailoverLayer) -> None:
        """Give a client whose first byte has come its layer."""
        seat = self._strangers.get(client.id)
        if seat:
            seat.layer = layer
            if self._is_crowded():
                layer.crowded = self._is_crowded

    def secured(self, client: Client, transport: asyncio.WriteTransport) -> None:
        """Put the transport of TLS in place of the one below it."""
        if seat := self._strangers.get(client.id) or self._known.get(client.id):
            seat.transport = transport

    def disconnected(self, client: Client) -> Seat | None:
        return self._strangers.pop(client.id, None) or self._known.pop(client.id, None)

    def sweep(self) -> None:
        """Disconnect clients that have been idle for too long."""
        now = self.clock()
        for name, seat in [*self._all()]:
            if seat.is_overdue(now):
                self._remove(name)

    def _is_crowded(self) -> bool:
        return len(self) > self.most

    def _all(self) -> Iterator[tuple[str, Seat]]:
        yield from self._strangers.items()
        yield from self._known.items()

    def _longest_at_rest(self) -> str | None:
        """Return the id of the client to disconnect in favour of the newest one; None if all are busy."""
        newest = next(reversed(self._strangers))
        for name, seat in [*self._strangers.items()]:
            if seat.layer and seat.layer.trusted:
                self._known[name] = self._strangers.pop(name)
            elif seat.at_rest and name != newest:
                return name
        return next((name for name, seat in self._known.items() if seat.at_rest), None)

    def _remove(self, name: str) -> None:
        seat = self._strangers.pop(name, None) or self._known.pop(name)
        seat.hang_up()
