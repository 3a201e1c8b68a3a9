"""One connection to upstream, whoever uses it at the moment."""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

from neurolink_mitm.core.request.target import UpstreamKey
from neurolink_mitm.dataplane.upstreams import memory
from neurolink_mitm.dataplane.upstreams.dial import Dialled


class Lessee(Protocol):
    """The user of a connection."""

    def received(self, data: bytes) -> None:
        """Take what upstream has sent."""

    def closed(self) -> None:
        """Learn that the connection is over: upstream has closed it, or it broke. Called at most once."""


class PooledConnection(asyncio.Protocol):
    """A connection, whose bytes go to its lessee.

    Without a lessee nothing may come: what upstream sends unasked would be taken for the next request's response
    (response splitting). So such a connection is closed.
    """

    dialled: Dialled
    """How it was made; set right after that."""
    wall_time: float
    """Unix time at which it stood."""
    uses: int = 0
    """Requests that it was used for."""
    facts: dict[str, Any] | None = None
    """What mitmproxy shows of it, once that was asked for."""
    idle_since: float = 0.0
    """Seconds of the set's clock."""
    on_end: Callable[[], None] | None = None
    """Called when it ends while nobody uses it."""

    def __init__(self, key: UpstreamKey, generation: int) -> None:
        """`generation` is that of the trusted authorities."""
        self.key = key
        self.generation = generation
        self.is_open = True
        self.lessee: Lessee | None = None
        self._transport: asyncio.Transport | None = None

    def made(self, dialled: Dialled) -> None:
        self.dialled = dialled
        self.wall_time = time.time()

    @property
    def is_pinned(self) -> bool:
        """Whether upstream has shown one of the certificates that it may show."""
        pins, tls = self.key.pins, self.dialled.tls
        return pins is None or (tls is not None and tls.fingerprint in pins)

    @property
    def was_kept(self) -> bool:
        """Whether it stood before the request that uses it came."""
        return self.uses > 0 or self.idle_since > 0

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        if self.lessee:
            self.lessee.received(data)
        else:
            self._end()
            self.close()

    def eof_received(self) -> bool:
        """Close it, half-closed as it is: nothing can be asked on it any more."""
        self._end()
        self.close()  # whole: what is still to be sent is for nobody, and might take forever
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        lessee, self.lessee = self.lessee, None
        self.is_open = False
        if lessee:
            lessee.closed()
        elif self.on_end:
            self.on_end()

    # What its user calls

    def write(self, data: bytes) -> None:
        if self.is_open and self._transport:
            memory.write(self._transport, data)

    def close(self) -> None:
        """Close it at once, without telling anybody."""
        self.lessee = self.on_end = None
        self.is_open = False
        if self._transport:
            self._transport.abort()

    def pause(self) -> None:
        """Read nothing from upstream until `resume`."""
        if self.is_open and self._transport:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self.is_open and self._transport:
            self._transport.resume_reading()

    @property
    def has_unsent(self) -> bool:
        """Whether a part of the request has not been sent yet."""
        return any(each.get_write_buffer_size() for each in self._transports())

    def _transports(self) -> Iterator[asyncio.Transport]:
        """The connection's and, with TLS, those below: TLS has nothing of what it has given to them."""
        transport = self._transport
        while transport is not None:
            yield transport
            protocol = getattr(transport, "_ssl_protocol", None)
            transport = getattr(protocol, "_transport", None)

    @property
    def is_silent(self) -> bool:
        """Whether the socket has nothing to read: neither an end nor data that the loop has not come to yet."""
        socket = self._transport.get_extra_info("socket") if self._transport else None
        return socket is not None and not _is_readable(socket.fileno())


def _is_readable(descriptor: int) -> bool:
    if descriptor < 0:
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLPRI)
    return bool(poll.poll(0))
