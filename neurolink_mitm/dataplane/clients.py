"""The limit of open files and sockets: raised at the start, and what happens where it is reached all the same.

How many clients may be connected, and for how long without a word.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from mitmproxy.connection import Client
from mitmproxy.proxy.server import ConnectionHandler

from neurolink_mitm.dataplane.client import Phase
from neurolink_mitm.dataplane.layer import FailoverLayer
from neurolink_mitm.dataplane.throttled_warning import ThrottledWarning

logger = logging.getLogger("neurolink.clients")

WANTED = 65_536
FALLBACKS = (WANTED, 10_240, 4096, 1024)
"""macOS names no hard limit and takes no more than 10,240 by default."""
OURS = 64
"""Descriptors for files, logs and listeners."""
FEWEST = 8

_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def raise_limit() -> int:
    """Raise the soft limit of descriptors as far as it goes, and return it."""
    try:
        import resource
    except ImportError:  # Windows has none
        return WANTED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard == resource.RLIM_INFINITY else hard
    for wanted in (min(most, each) for each in FALLBACKS):
        if soft != resource.RLIM_INFINITY and wanted > soft:
            with suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                return wanted
    return WANTED if soft == resource.RLIM_INFINITY else soft


def clients_within(limit: int) -> int:
    """How many clients fit into a limit of descriptors: each may take one more upstream."""
    return max(FEWEST, (limit - OURS) // 2)


class Shortage:
    """Turns new clients away where no descriptor is left to take them.

    asyncio would log a hundred tracebacks each time that it looks, and let them wait unanswered. One descriptor is kept
    spare, to take a client with and hang up at once.
    """

    def __init__(self) -> None:
        self._spare: int | None = None
        self._previous: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._line = ThrottledWarning(
            logger, "no file descriptor is left: new clients are turned away, see `ulimit -n`"
        )

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to hear what goes wrong in this loop."""
        if self._loop is not loop:
            self._loop, self._previous = loop, loop.get_exception_handler()
            loop.set_exception_handler(self._handle)
            self._keep_spare()

    def close(self) -> None:
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    def _handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error, listener = context.get("exception"), context.get("socket")
        if isinstance(error, OSError) and error.errno in _SHORTAGE and listener is not None:
            self._line.warn()
            self._turn_away(listener.fileno())
        elif self._previous:
            self._previous(loop, context)
        else:
            loop.default_exception_handler(context)

    def _turn_away(self, listener: int) -> None:
        self.close()
        view = socket.socket(fileno=listener)
        try:
            with suppress(OSError):
                view.accept()[0].close()
        finally:
            view.detach()
            self._keep_spare()

    def _keep_spare(self) -> None:
        with suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY)


MOST = 1024
"""Clients at most; fewer where the system allows only few descriptors."""
IDLE = 300.0
"""Seconds that a connection may stay open without a request."""
SILENT = 60.0
"""Seconds that a client may take to begin its first one."""
UNREAD = 30.0
"""Seconds that a client which has been hung up on may take to read the rest of its answer."""
NO_LIMIT = 10**9
"""Seconds: mitmproxy would hang up after ten minutes without a byte, even on who waits for an answer."""

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
        """No request of this client is being read or answered."""
        return self.layer is None or self.layer.phase in _AT_REST

    def is_overdue(self, now: float) -> bool:
        if self.layer is None:
            return now - self.since > SILENT
        return self.layer.phase is Phase.IDLE and now - self.layer.phase_began > IDLE

    @property
    def has_unread(self) -> bool:
        """The client has not taken yet all that was written."""
        return self.transport.get_write_buffer_size() > 0

    def hang_up(self) -> None:
        io = self.handler.transports.get(self.handler.client)
        if io and io.handler:
            io.handler.cancel("idle")
        else:
            self.transport.close()


@dataclass
class Clients:
    """All that are connected. Where there are too many, those go first who have not asked for anything yet."""

    most: int = MOST
    clock: Callable[[], float] = time.monotonic
    _strangers: dict[str, Seat] = field(default_factory=dict)
    _known: dict[str, Seat] = field(default_factory=dict)
    """A request of theirs has got as far as upstream."""
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
        """The first byte has come."""
        seat = self._strangers.get(client.id)
        if seat:
            seat.layer = layer
            if self._is_crowded():
                layer.crowded = self._is_crowded

    def disconnected(self, client: Client) -> Seat | None:
        return self._strangers.pop(client.id, None) or self._known.pop(client.id, None)

    def sweep(self) -> None:
        """Hang up on those who have been idle for too long."""
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
        """Whoever is hung up on before the newest gets in, strangers first; None if there is nobody else."""
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
