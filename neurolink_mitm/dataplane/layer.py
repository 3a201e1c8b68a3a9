"""The HTTP layer of one client connection: mitmproxy's with our streams, timers, and upstreams that can be dropped."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mitmproxy.connection import Connection, Server
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator
from mitmproxy.proxy.layers.http import (
    GetHttpConnection,
    GetHttpConnectionCompleted,
    HttpLayer,
    HTTPMode,
)
from mitmproxy.proxy.layers.http._events import RequestProtocolError

from neurolink_mitm.core.request.target import UpstreamKey
from neurolink_mitm.dataplane.body_memory import BodyMemory
from neurolink_mitm.dataplane.bounded_stream import BreakOff, GoOn, TimeIsUp
from neurolink_mitm.dataplane.client import ClientConnection, Phase
from neurolink_mitm.dataplane.compat import CLIENT_LEFT
from neurolink_mitm.dataplane.framing import shallow_copy
from neurolink_mitm.dataplane.joining import Joined, merged, same_peer
from neurolink_mitm.dataplane.stream import FailoverStream, GetUpstream
from neurolink_mitm.dataplane.upstream import UpstreamConnection
from neurolink_mitm.dataplane.upstreams.leases import HandBack, Lease, Leases, OpenUpstream

CLIENT_PATIENCE = 60.0
"""Seconds without a byte after which a client in the middle of a request is disconnected."""
QUIET = 1.0
"""Seconds without a byte after which a client over TLS is closed that is to leave."""
LONGEST = {Phase.HEAD: 30.0, Phase.BODY: 600.0, Phase.LEAVING: 30.0}
"""Seconds that each phase of a client may last."""

RunNow = Callable[[commands.StartHook], bool]


@dataclass
class Resume(events.Event):
    """The stream with this id may go on, if it is held."""

    stream_id: int


@dataclass
class Stop(events.Event):
    """The proxy stops: disconnect the client once it is idle."""

    at_once: bool = False
    """End the client's streams now."""


def never(hook: commands.StartHook) -> bool:
    """Leave every hook to mitmproxy."""
    return False


class FailoverLayer(HttpLayer):
    """Holds the streams of one client connection and their timeouts.

    One timer serves all streams: a timer of a stream's own would keep the request's body alive until it fires.
    """

    now = staticmethod(time.monotonic)
    streams: dict[int, FailoverStream]  # type: ignore[assignment]  # a narrower value type

    def __init__(
        self,
        context: Context,
        run_now: RunNow = never,
        *,
        frugal: bool = False,
        body_memory: BodyMemory | None = None,
        issuers: dict[str, str] | None = None,
        leases: Leases | None = None,
    ) -> None:
        """`run_now` runs a hook at once if it can; `frugal` frees bodies as soon as they are sent.

        `issuers` has the issuers of refused certificates, by host. Commands to upstream go to `leases`; without any,
        they are yielded like those to the client.
        """
        super().__init__(context, HTTPMode.transparent)
        self._run_now = run_now
        self.frugal = frugal
        self.body_memory = body_memory or BodyMemory()
        self.issuers = {} if issuers is None else issuers
        self.client_connection = ClientConnection(context.fork())
        self.phase, self._phase_stream = Phase.IDLE, self.client_connection.stream_id
        self.phase_began = self.now()
        """Monotonic seconds."""
        self.crowded: Callable[[], bool] = lambda: False
        """Whether there are too many clients, all of them busy, so that this one is refused."""
        self.trusted = False
        """A request of this client has reached upstream."""
        self.connections[context.client] = self.client_connection
        self._timers: dict[commands.RequestWakeup, float] = {}
        self._client_deadline = math.inf
        self._heard_at = -math.inf
        """When a client that is to leave has last sent something."""
        self.stopping = False
        self._leases = leases
        self._connecting: dict[Server, GetHttpConnection] = {}

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        """Run hooks at once where they need not wait, and join what goes to one peer into one write.

        Both save time only: otherwise a hook costs a task and two turns of the loop, and each write a system call. The
        reply to a hook is handled after the event that caused it.
        """
        heard = isinstance(event, events.DataReceived) and event.connection is self.context.client
        if heard and self.phase is Phase.LEAVING:
            self._heard_at = self.now()
            return  # discarded without work
        sends: list[commands.SendData] = []
        todo = deque([event])
        self.client_connection.requests_this_turn = 0
        while todo:
            for command in self._commands_for(todo.popleft()):
                if isinstance(command, commands.StartHook) and self._run_now(command):
                    todo.append(events.HookCompleted(command))
                elif isinstance(command, OpenUpstream) and self._leases:
                    if self._leases.open(command):
                        todo.append(events.OpenConnectionCompleted(command, None))
                elif isinstance(command, commands.SendData) and same_peer(sends, command):
                    sends.append(command)
                else:
                    yield from self._execute(merged(sends))
                    sends = [command] if isinstance(command, commands.SendData) else []
                    if not sends:
                        yield from self._execute([command])
        yield from self._execute(merged(sends))
        phase = self.client_connection.phase
        if (phase, self.client_connection.stream_id) != (self.phase, self._phase_stream):
            self.phase, self._phase_stream = phase, self.client_connection.stream_id
            self.phase_began = self.now()
            self._client_deadline = math.inf
        if self.stopping and phase is Phase.IDLE:
            yield from self.client_connection.close()
        if phase in LONGEST:
            yield from self._watch_client(heard=heard)

    def _execute(self, todo: Iterable[commands.Command]) -> CommandGenerator[None]:
        """Carry out commands to upstream, and yield the others."""
        for command in todo:
            if not (self._leases and self._leases.execute(command)):
                yield command

    def _commands_for(self, event: events.Event) -> CommandGenerator[None]:
        if isinstance(event, events.Wakeup) and event.command in self._timers:
            yield from self._wake_due(event)
            return
        if isinstance(event, Stop):
            self.stopping = True
            yield from self._break_off(held_only=not event.at_once)
            return
        if isinstance(event, Resume):
            if stream := self.streams.get(event.stream_id):
                yield from self.event_to_child(stream, GoOn(stream.stream_id))
            return
        if self.stopping and _is_late(event, self.command_sources):
            return  # a stream was ended while it waited for this hook
        if isinstance(event, events.ConnectionEvent) and event.connection not in self.connections:
            return  # a late event of a dropped upstream
        if isinstance(event, events.OpenConnectionCompleted):
            yield from self._connected(event)
        elif isinstance(event, events.DataReceived) and event.connection is not self.context.client:
            yield from self._from_upstream(event)
        else:
            yield from super()._handle_event(event)
            if isinstance(event, events.ConnectionClosed):
                yield from self._stop_connecting()

    def make_stream(self, stream_id: int) -> CommandGenerator[None]:
        self._forget_dead_upstreams()
        self.streams[stream_id] = FailoverStream(_fork(self.context), stream_id, self)
        yield from self.event_to_child(self.streams[stream_id], events.Start())

    # Timers

    def wake(self, at: float) -> CommandGenerator[None]:
        """Wake the streams that wait until `at` (monotonic seconds)."""
        if at < min(self._timers.values(), default=math.inf):
            timer = commands.RequestWakeup(max(0.0, at - self.now()))
            self._timers[timer] = at
            yield timer
            self.command_sources.pop(timer, None)  # the layer's, not that of the first stream

    def _wake_due(self, event: events.Wakeup) -> CommandGenerator[None]:
        self._timers.pop(event.command, None)
        now = self.now()
        for stream in list(self.streams.values()):
            if stream.wake_at <= now:
                yield from self._time_is_up(stream)
        if self._client_deadline <= now:
            yield from self._client_is_due()
        pending = (stream.wake_at for stream in self.streams.values())
        next_at = min(*pending, self._client_deadline, math.inf)
        if next_at < math.inf:
            yield from self.wake(next_at)

    def _time_is_up(self, stream: FailoverStream) -> CommandGenerator[None]:
        stream.wake_at = math.inf
        if stream.connecting is None:
            yield from self.event_to_child(stream, TimeIsUp(stream.stream_id))
        else:
            yield from self._give_up_connecting(stream, stream.connecting)

    def resume_later(self, stream_id: int) -> None:
        """Have the stream resumed, if it is held: called from outside the layer."""
        if self._leases:
            self._leases.deliver(Resume(stream_id))

    def _break_off(self, *, held_only: bool) -> CommandGenerator[None]:
        """End all streams, also those that wait for a connection or a hook; or those only that are held."""
        for stream in list(self.streams.values()):
            if held_only and not stream.is_held:
                continue
            connecting, hook = stream.connecting, stream.awaited_hook
            yield from self.event_to_child(stream, BreakOff(stream.stream_id))
            if connecting is not None:
                yield from self._give_up_connecting(stream, connecting)
            elif hook is not None and hook in self.command_sources:
                del self.command_sources[hook]
                yield from self.event_to_child(stream, events.HookCompleted(hook))

    # The client

    def _watch_client(self, *, heard: bool) -> CommandGenerator[None]:
        """Set the client's deadline; `heard`: the client has just sent something."""
        now = self.now()
        if self.client_connection.deferred:
            self._client_deadline = now
        elif heard or self._client_deadline == math.inf:
            self._client_deadline = self.phase_began + LONGEST[self.phase]
            if self.phase is not Phase.LEAVING:
                self._client_deadline = min(self._client_deadline, now + CLIENT_PATIENCE)
            elif self.context.client.tls:
                self._client_deadline = min(self._client_deadline, now + QUIET)
        yield from self.wake(self._client_deadline)

    def _client_is_due(self) -> CommandGenerator[None]:
        self._client_deadline = math.inf
        if self.client_connection.deferred:
            yield from self.event_to_child(
                self.client_connection, _nothing_new(self.context.client)
            )
        elif self.phase in (Phase.HEAD, Phase.BODY):
            yield from self._hang_up()
        elif self.phase is Phase.LEAVING:
            now = self.now()
            again = min(self._heard_at + QUIET, self.phase_began + LONGEST[self.phase])
            if self.context.client.tls and again > now:
                self._client_deadline = again
            else:
                yield from self.client_connection.close()

    def _hang_up(self) -> CommandGenerator[None]:
        message = "the rest of the request did not come"
        if self.client_connection.response:  # it has been answered already
            yield from self.client_connection.close()
        else:
            yield from self.client_connection.refuse(408, message)
        for stream in list(self.streams.values()):
            left = RequestProtocolError(stream.stream_id, message, CLIENT_LEFT)
            yield from self.event_to_child(stream, left)

    # Upstreams

    def get_connection(
        self, event: GetHttpConnection, *, reuse: bool = True
    ) -> CommandGenerator[None]:
        """Have a connection found or made, in place of mitmproxy's own for this client alone."""
        assert isinstance(event, GetUpstream)
        context = _fork(self.context)
        context.server = server = event.new_server()
        self.connections[server] = upstream = UpstreamConnection(context)
        self._connecting[server] = event
        yield from upstream.handle_event(events.Start())
        command = OpenUpstream(server, event.key, event.fresh)
        # as mitmproxy marks a command that this layer does not wait for
        command.blocking = upstream  # type: ignore[assignment]
        yield command

    def _connected(self, event: events.OpenConnectionCompleted) -> CommandGenerator[None]:
        server = event.command.connection
        command = self._connecting.pop(server, None)
        if command is None:
            return  # nobody waits for it any more
        if event.reply:
            del self.connections[server]
        reply = (None, event.reply) if event.reply else (server, None)
        stream = self.command_sources.pop(command)
        yield from self.event_to_child(stream, GetHttpConnectionCompleted(command, reply))

    def _from_upstream(self, event: events.DataReceived) -> CommandGenerator[None]:
        upstream = self.connections[event.connection]
        assert isinstance(upstream, UpstreamConnection)
        if not upstream.heard and upstream.stream_id in self.streams:
            upstream.heard = True
            self.streams[upstream.stream_id].first_byte()
        yield from self.event_to_child(Joined(upstream), event)
        if upstream.is_free:
            self.forget(event.connection)
            yield HandBack(event.connection)
        elif not event.connection.connected:
            self.forget(event.connection)

    def lease_of(self, connection: Connection) -> Lease | None:
        """Return the use of the shared connection that `connection` stands for."""
        return self._leases.get(connection) if self._leases else None

    def release(self) -> None:
        """Close what is still used of upstream: the client has gone, and nothing can be told to it."""
        if self._leases:
            self._leases.close()

    def prepare(self, key: UpstreamKey) -> None:
        """Have spare connections made: a request may soon go that way."""
        if self._leases:
            self._leases.prepare(key)

    def knows(self, connection: Connection) -> bool:
        """Whether an upstream connection is still in use here."""
        return connection in self.connections

    def forget(self, connection: Connection) -> None:
        """Drop the upstream connection of an attempt that is over: its events are ignored from now on."""
        self.connections.pop(connection, None)

    def _stop_connecting(self) -> CommandGenerator[None]:
        """Let the streams end that wait for a connection, if the client has left."""
        if not self.context.client.connected:
            for stream in list(self.streams.values()):
                if stream.connecting is not None:
                    yield from self._give_up_connecting(stream, stream.connecting)

    def _give_up_connecting(
        self, stream: FailoverStream, command: GetHttpConnection
    ) -> CommandGenerator[None]:
        """Tell the stream that connecting took too long, and end the attempt to connect."""
        for server in [each for each, asked in self._connecting.items() if asked is command]:
            del self._connecting[server]
            self.forget(server)
            yield commands.CloseConnection(server)
        self.command_sources.pop(command, None)
        failed = GetHttpConnectionCompleted(command, (None, GetUpstream.TIMED_OUT))
        yield from self.event_to_child(stream, failed)

    def _forget_dead_upstreams(self) -> None:
        """Drop closed upstream connections, which mitmproxy keeps for as long as the client stays."""
        dead = [c for c in self.connections if isinstance(c, Server) and self._is_dead(c)]
        for connection in dead:
            del self.connections[connection]

    def _is_dead(self, connection: Server) -> bool:
        return connection not in self._connecting and not connection.connected


def _fork(context: Context) -> Context:
    """Return a context for a layer below. mitmproxy's own `fork` makes a server first, which nobody uses."""
    forked = shallow_copy(context)
    forked.layers = context.layers.copy()
    return forked


def _is_late(event: events.Event, sources: Mapping[commands.Command, layer.Layer]) -> bool:
    return isinstance(event, events.HookCompleted) and event.command not in sources


def _nothing_new(client: Connection) -> events.DataReceived:
    return events.DataReceived(client, b"")
