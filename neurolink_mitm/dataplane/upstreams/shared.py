"""The set of connections to upstream, which all clients share."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Protocol

from neurolink_mitm.core.request.target import UpstreamKey
from neurolink_mitm.dataplane.descriptors import is_shortage
from neurolink_mitm.dataplane.upstreams import dial as dialling
from neurolink_mitm.dataplane.upstreams.connection import PooledConnection
from neurolink_mitm.dataplane.upstreams.dial import DialError, Dialled
from neurolink_mitm.dataplane.upstreams.tls import UpstreamTrust

IDLE = 60.0
"""Seconds that an unused connection is kept, by default."""
WARM = 1
"""Spare connections that are kept ready, by default."""
MOST_IDLE = 100
"""Unused connections to one server at most."""
MOST_IDLE_OF_ALL = 300
"""Unused connections at most; fewer where the system allows only few descriptors."""
DIAL_LIMIT = 120.0
"""Seconds after which an attempt to connect ends, where nobody waits for it any more."""
SAFE_IDLE = 4.0
"""Seconds after a response in which upstream hardly closes the connection: Node's servers do after 5, others later."""
SPARE_PAUSE = 5.0
"""Seconds without a new spare after a connection could not be made."""
LASTING_PAUSE = 60.0
"""The same where the next one would meet the same: a certificate that isn't trusted, a login that is refused."""

Waiter = asyncio.Future[PooledConnection]


def waking_and_sleeping() -> float:
    """Return seconds of a clock that goes on while a laptop sleeps; Python's `monotonic` stands still then."""
    if not hasattr(time, "clock_gettime"):  # Windows, whose `monotonic` goes on
        return time.monotonic()
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Dial(Protocol):
    """How a new connection is made; `dial.dial` is the real one."""

    def __call__(
        self,
        key: UpstreamKey,
        make_protocol: Callable[[], asyncio.Protocol],
        trust: UpstreamTrust,
    ) -> Awaitable[Dialled]: ...


class Upstreams:
    """Hands out connections, the latest used first, and takes them back when a response is complete.

    While there is traffic to a server, spares for it are connected ahead. Nothing is connected without traffic.
    """

    def __init__(
        self,
        trust: UpstreamTrust,
        dial: Dial = dialling.dial,
        clock: Callable[[], float] = waking_and_sleeping,
        make: Callable[[UpstreamKey, int], PooledConnection] = PooledConnection,
    ) -> None:
        self.trust = trust
        self.warm = WARM
        self.most_idle = MOST_IDLE_OF_ALL
        self._longest_idle = IDLE
        self._dial = dial
        self._clock = clock
        self._make = make
        self._idle: dict[UpstreamKey, deque[PooledConnection]] = {}
        """By key, the longest unused first."""
        self._waiting: dict[UpstreamKey, deque[Waiter]] = {}
        """Requests that any connection may serve, the oldest first."""
        self._spares: dict[UpstreamKey, int] = {}
        """The number of spares that are being connected."""
        self._no_spare_until: dict[UpstreamKey, float] = {}
        self._tasks: set[asyncio.Task[PooledConnection]] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        """Return the number of unused connections."""
        return sum(map(len, self._idle.values()))

    @property
    def idle(self) -> float:
        """Seconds that an unused connection is kept."""
        return self._longest_idle

    @idle.setter
    def idle(self, seconds: float) -> None:
        self._longest_idle = seconds
        if self._sweeping:
            self._sweeping.cancel()
            self._sweep()

    def take(self, key: UpstreamKey) -> PooledConnection | None:
        """Return a connection that stands, if there is one, and have a spare connected in its place."""
        connection = self._latest(key)
        self.prepare(key)
        return connection

    def take_safe(self, key: UpstreamKey) -> PooledConnection | None:
        """Return one that upstream is hardly about to close: used a moment ago, or never. No spare takes its place.

        It is for a request that can't be sent twice. Servers wait longer for a first request than for a next one.
        """
        now = self._clock()
        return self._latest(key, lambda each: not each.uses or now - each.idle_since < SAFE_IDLE)

    async def connect(self, key: UpstreamKey, *, fresh: bool = False) -> PooledConnection:
        """Return a new connection, or one that comes back before that unless it has to be `fresh`.

        Raises:
            DialError: none could be made.
        """
        waiter: Waiter = asyncio.get_running_loop().create_future()
        if not fresh:
            self._waiting.setdefault(key, deque()).append(waiter)
        task = self._start(key)
        task.add_done_callback(lambda done: self._connected(key, done, waiter))
        try:
            return await waiter
        except asyncio.CancelledError:
            task.cancel()
            if waiter.done() and not waiter.cancelled() and not waiter.exception():
                self.put_back(waiter.result())
            raise
        finally:
            self._no_longer_waits(key, waiter)

    def put_back(self, connection: PooledConnection) -> None:
        """Take a connection back whose response is complete, for the next request."""
        connection.lessee = None
        if not self._is_usable(connection) or connection.has_unsent:
            connection.close()
            return
        for waiter in self._waiting.get(connection.key, ()):
            if not waiter.done() and connection.is_silent:
                waiter.set_result(connection)
                return
        self._keep(connection)

    def prepare(self, key: UpstreamKey) -> None:
        """Connect spares for `key` until there are `warm`: traffic to it goes on or is to be expected."""
        missing = self.warm - len(self._idle.get(key, ())) - self._spares.get(key, 0)
        if missing <= 0 or self.idle <= 0 or self._closed:
            return
        if self._no_spare_until.get(key, 0.0) > self._clock():
            return
        for _ in range(missing):
            self._spares[key] = self._spares.get(key, 0) + 1
            self._start(key).add_done_callback(lambda done: self._spare_connected(key, done))

    def make_room(self) -> bool:
        """Close all unused connections: descriptors are short. Return whether there were any."""
        unused = [*self._all_idle()]
        self._idle.clear()
        for connection in unused:
            connection.close()
        return bool(unused)

    def close(self) -> None:
        """Close what is unused now, and whatever comes back later. Who waits for a connection still gets one."""
        self._closed = True
        self.make_room()
        if self._sweeping:
            self._sweeping.cancel()

    # Connections that are not in use

    def _latest(
        self, key: UpstreamKey, suits: Callable[[PooledConnection], bool] = lambda _: True
    ) -> PooledConnection | None:
        stack = self._idle.get(key)
        waits: list[PooledConnection] = []
        chosen = None
        while stack and chosen is None:
            connection = stack.pop()
            if not self._is_usable(connection) or self._is_old(connection):
                connection.close()
            elif suits(connection) and connection.is_silent:
                chosen = connection
                chosen.on_end = None
            else:  # unread are its end, or a session ticket of TLS: the loop will read it
                waits.append(connection)
        if stack is not None:
            stack.extend(reversed(waits))
            if not stack:
                del self._idle[key]
        return chosen

    def _is_usable(self, connection: PooledConnection) -> bool:
        current = connection.generation == self.trust.generation
        return connection.is_open and current and connection.is_pinned and not self._closed

    def _is_old(self, connection: PooledConnection) -> bool:
        return self._clock() - connection.idle_since >= self.idle

    def _keep(self, connection: PooledConnection) -> None:
        if self.idle <= 0:
            connection.close()
            return
        connection.idle_since = self._clock()
        connection.on_end = lambda: self._forget(connection)
        stack = self._idle.setdefault(connection.key, deque())
        stack.append(connection)
        if len(stack) > MOST_IDLE:
            stack.popleft().close()
        elif len(self) > self.most_idle:
            self._forget(min(self._all_idle(), key=lambda each: each.idle_since))
        if self._sweeping is None:
            self._sweep_in(self.idle)

    def _sweep_in(self, seconds: float) -> None:
        self._sweeping = asyncio.get_running_loop().call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        """Close what was unused for too long, or is trusted no longer."""
        self._sweeping = None
        for connection in [*self._all_idle()]:
            if not self._is_usable(connection) or self._is_old(connection):
                self._forget(connection)
        oldest = min((each.idle_since for each in self._all_idle()), default=None)
        if oldest is not None:
            self._sweep_in(max(0.01, oldest + self.idle - self._clock()))

    def _forget(self, connection: PooledConnection) -> None:
        stack = self._idle[connection.key]
        stack.remove(connection)
        if not stack:
            del self._idle[connection.key]
        connection.close()

    def _all_idle(self) -> Iterator[PooledConnection]:
        for stack in self._idle.values():
            yield from stack

    # Connections to be

    def _start(self, key: UpstreamKey) -> asyncio.Task[PooledConnection]:
        task = asyncio.ensure_future(self._open(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _open(self, key: UpstreamKey) -> PooledConnection:
        connection = self._make(key, self.trust.generation)
        try:
            async with asyncio.timeout(DIAL_LIMIT):
                connection.made(await self._dialled(key, connection))
        except TimeoutError:
            raise DialError(f"no connection after {DIAL_LIMIT:.0f} s") from None
        return connection

    async def _dialled(self, key: UpstreamKey, connection: PooledConnection) -> Dialled:
        try:
            return await self._dial(key, lambda: connection, self.trust)
        except DialError as e:
            if not (is_shortage(e.__cause__) and self.make_room()):
                raise
        await asyncio.sleep(0)  # until they are closed
        return await self._dial(key, lambda: connection, self.trust)

    def _connected(
        self, key: UpstreamKey, task: asyncio.Task[PooledConnection], waiter: Waiter
    ) -> None:
        if task.cancelled():
            waiter.cancel()
        elif error := task.exception():
            self._pause_spares(key, error)
            if not waiter.done():
                waiter.set_exception(error)
        elif waiter.done():
            self.put_back(task.result())
        else:
            waiter.set_result(task.result())

    def _spare_connected(self, key: UpstreamKey, task: asyncio.Task[PooledConnection]) -> None:
        self._spares[key] -= 1
        if not self._spares[key]:
            del self._spares[key]
        if task.cancelled():
            return
        error = task.exception()
        if error or not task.result().is_pinned:
            self._pause_spares(key, error)
        if not error:
            self.put_back(task.result())

    def _pause_spares(self, key: UpstreamKey, error: BaseException | None) -> None:
        now, lasts = self._clock(), isinstance(error, DialError) and error.permanent
        self._no_spare_until = {k: at for k, at in self._no_spare_until.items() if at > now}
        self._no_spare_until[key] = now + (LASTING_PAUSE if lasts else SPARE_PAUSE)

    def _no_longer_waits(self, key: UpstreamKey, waiter: Waiter) -> None:
        waiting = self._waiting.get(key)
        if waiting is not None:
            with suppress(ValueError):
                waiting.remove(waiter)
            if not waiting:
                del self._waiting[key]
