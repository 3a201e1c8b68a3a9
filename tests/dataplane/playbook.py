"""Events in, commands out: one client's connection through the failover layer, with no socket, thread or clock.

After mitmproxy's own proxy tests. Each event returns the commands that it caused:

    play = Playbook()
    assert play.client(REQUEST) == [Hook("requestheaders"), Hook("request"), Hook("attempt"), Open("up1")]
    assert play.opened("up1") == [Send("up1", ANY)]

Upstream servers are named for their host, and from the second connection to it on also by number: `up1`, `up1#2`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mitmproxy import http, options
from mitmproxy.connection import Connection, ConnectionState, Server
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.test import tflow

from neurolink_mitm.core.exchange import Exchange, Hold, Kind, Step, Try
from neurolink_mitm.dataplane.hooks import attach_exchange, exchange_of, final_response
from neurolink_mitm.dataplane.layer import FailoverLayer, Resume, Stop
from neurolink_mitm.dataplane.upstreams.leases import HandBack
from tests.fakes import make_account, make_exchange, make_plan

CLIENT = "client"
AGAIN = Try(make_account(), "again")


@dataclass(frozen=True)
class Hook:
    name: str


@dataclass(frozen=True)
class Open:
    server: str


@dataclass(frozen=True)
class Send:
    peer: str
    data: bytes


@dataclass(frozen=True)
class Close:
    peer: str


@dataclass(frozen=True)
class Back:
    """The connection may be used by another request."""

    server: str


Command = Hook | Open | Send | Close | Back


@dataclass
class Steps:
    """Stands for the addons: attempt n goes to the nth of `hosts`; after a failure comes the next of `steps`."""

    hosts: Sequence[str] = ("up1", "up2", "up3")
    steps: Sequence[Step] = (AGAIN, AGAIN)
    exchange: dict[str, object] = field(default_factory=dict)
    flows: list[http.HTTPFlow] = field(default_factory=list)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        known = {"kind": Kind.MESSAGES, "plan": make_plan(), "stream": True, "admitted": True}
        attach_exchange(flow, make_exchange(**known | self.exchange))
        self.flows.append(flow)

    def attempt(self, flow: http.HTTPFlow) -> None:
        exchange = record(flow)
        attempt = exchange.attempt
        assert attempt
        if isinstance(exchange.step, Hold):  # it has been held
            exchange.step = AGAIN
        flow.request.scheme, flow.request.port = "http", 80
        flow.request.host = self.hosts[attempt.number - 1]
        attempt.ready = True

    def attempt_failed(self, flow: http.HTTPFlow) -> None:
        exchange = record(flow)
        exchange.step = self.steps[len(exchange.attempts) - 1]
        flow.response = final_response(flow, exchange) or flow.response


def record(flow: http.HTTPFlow) -> Exchange:
    exchange = exchange_of(flow)
    assert exchange
    return exchange


class Playbook:
    """Feeds a layer with events; hooks are answered by `addons` at once, unless their name is in `held`."""

    def __init__(self, addons: object = None, **exchange: object) -> None:
        self.addons = addons or Steps(exchange=exchange)
        self.held: set[str] = set()
        self.seconds = 1000.0
        client = tflow.tclient_conn()
        context = Context(client, options.Options())
        context.server = Server(address=("placeholder", 80))
        self.layer = FailoverLayer(context, self._run_now, frugal=True)
        self.layer.now = lambda: self.seconds  # type: ignore[method-assign]
        self._peers: dict[Connection, str] = {client: CLIENT}
        self._waiting: dict[str, commands.Command] = {}
        self._timers: dict[commands.RequestWakeup, float] = {}
        self._log: list[Command] = []
        self._feed(events.Start())

    # What happens outside

    def client(self, data: bytes) -> list[Command]:
        """The client sends."""
        return self._feed(events.DataReceived(self._peer(CLIENT), data))

    def client_leaves(self) -> list[Command]:
        return self._closed(CLIENT)

    def opened(self, server: str, error: str | None = None) -> list[Command]:
        """A connection stands, or could not be made."""
        command = self._waiting.pop(server)
        assert isinstance(command, commands.OpenConnection)
        command.connection.state = ConnectionState.CLOSED if error else ConnectionState.OPEN
        command.connection.error = error
        return self._feed(events.OpenConnectionCompleted(command, error))

    def upstream(self, server: str, data: bytes) -> list[Command]:
        """An upstream server sends."""
        return self._feed(events.DataReceived(self._peer(server), data))

    def upstream_closes(self, server: str) -> list[Command]:
        return self._closed(server)

    def finish(self, hook: str) -> list[Command]:
        """A held hook comes to its end."""
        command = self._waiting.pop(hook)
        assert isinstance(command, commands.StartHook)
        return self._feed(events.HookCompleted(command))

    def wait(self, seconds: float) -> list[Command]:
        """Time passes, and timers that are due go off."""
        self.seconds += seconds
        log: list[Command] = []
        while due := [each for each, at in self._timers.items() if at <= self.seconds]:
            del self._timers[due[0]]
            log += self._feed(events.Wakeup(due[0]))
        return log

    def resume(self, stream_id: int = 1) -> list[Command]:
        """An addon lets a held request go on."""
        return self._feed(Resume(stream_id))

    def drain(self) -> list[Command]:
        """The proxy stops, and waits for those in flight."""
        return self._feed(Stop())

    def stop(self) -> list[Command]:
        """The proxy stops, and waits for nothing."""
        return self._feed(Stop(at_once=True))

    # What it knows

    @property
    def exchange(self) -> Exchange:
        """The record of the latest request."""
        assert isinstance(self.addons, Steps)
        return record(self.addons.flows[-1])

    def upstreams(self) -> list[str]:
        """The connections that the layer has in mind."""
        return [
            name
            for each, name in self._peers.items()
            if name != CLIENT and each in self.layer.connections
        ]

    def _peer(self, name: str) -> Connection:
        return next(peer for peer, each in self._peers.items() if each == name)

    def _closed(self, name: str) -> list[Command]:
        peer = self._peer(name)
        peer.state = ConnectionState.CLOSED
        return self._feed(events.ConnectionClosed(peer))

    # What the layer does

    def _run_now(self, hook: commands.StartHook) -> bool:
        self._log.append(Hook(hook.name))
        (flow,) = hook.args()
        getattr(self.addons, hook.name, lambda flow: None)(flow)
        if hook.name in self.held:
            self._waiting[hook.name] = hook
        return hook.name not in self.held

    def _feed(self, event: events.Event) -> list[Command]:
        for command in self.layer.handle_event(event):
            self._take(command)
        log, self._log = self._log, []
        return log

    def _take(self, command: commands.Command) -> None:
        if isinstance(command, commands.RequestWakeup):
            self._timers[command] = self.seconds + command.delay
        elif isinstance(command, commands.OpenConnection):
            name = self._name(command.connection)
            self._waiting[name] = command
            self._log.append(Open(name))
        elif isinstance(command, commands.SendData):
            self._log.append(Send(self._peers[command.connection], command.data))
        elif isinstance(command, HandBack):
            command.connection.state = ConnectionState.CLOSED
            self._log.append(Back(self._peers[command.connection]))
        elif isinstance(command, commands.CloseConnection):
            command.connection.state = ConnectionState.CLOSED
            self._log.append(Close(self._peers[command.connection]))
        elif not isinstance(command, (commands.StartHook, commands.Log)):
            raise AssertionError(f"unexpected: {command}")

    def _name(self, server: Connection) -> str:
        assert isinstance(server, Server)
        assert server.address
        host = server.address[0]
        count = sum(each.partition("#")[0] == host for each in self._peers.values())
        self._peers[server] = f"{host}#{count + 1}" if count else host
        return self._peers[server]
