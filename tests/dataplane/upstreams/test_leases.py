"""One client's use of shared connections: commands go to them at once, and what they send comes as events."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
from mitmproxy import options
from mitmproxy.connection import ConnectionState, Server
from mitmproxy.proxy import commands, events, server_hooks
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import CommandGenerator, Layer
from mitmproxy.proxy.server import ConnectionHandler, ConnectionIO
from mitmproxy.test import tflow

from neurolink_mitm.dataplane.upstreams import leases as module
from neurolink_mitm.dataplane.upstreams.leases import HandBack, Leases, OpenUpstream
from tests.dataplane.upstreams.fakes import KEY, FakeConnection, make_upstreams, turns


class Recorder(Layer):
    """The layer: notes events, and runs `then` in the middle of each."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.events: list[events.Event] = []
        self.then: Callable[[events.Event], None] = lambda event: None

    def _handle_event(self, event: events.Event) -> CommandGenerator[None]:
        self.events.append(event)
        self.then(event)
        yield from ()


class Handler(ConnectionHandler):
    """mitmproxy's handler of a client, with no client."""

    def __init__(self) -> None:
        context = Context(tflow.tclient_conn(), options.Options())
        super().__init__(context)
        self.layer = self.recorder = Recorder(context)
        self.hooks: list[str] = []
        self.refusal: str | None = None
        self.pause: asyncio.Event | None = None

    async def handle_hook(self, hook: commands.StartHook) -> None:
        self.hooks.append(hook.name)
        if isinstance(hook, server_hooks.ServerConnectHook):
            hook.data.server.error = self.refusal
        elif self.pause:
            await self.pause.wait()


class Client:
    """A client's leases, with what they stand on."""

    def __init__(self) -> None:
        self.upstreams, self.dialling, _ = make_upstreams()
        self.handler = Handler()
        self.events = self.handler.recorder.events
        self.leases = Leases(self.upstreams, self.handler)

    @property
    def made(self) -> list[FakeConnection]:
        return self.dialling.made

    async def open(self, *, fresh: bool = False) -> Server:
        """A connection that a command has opened."""
        server = Server(address=(KEY.host, KEY.port))
        self.leases.open(OpenUpstream(server, KEY, fresh))
        await turns()
        return server

    def hand_back(self, server: Server) -> None:
        self.leases.execute(HandBack(server))


@pytest.fixture(params=["tasks start later", "tasks start at once"])
async def client(request: pytest.FixtureRequest) -> Client:
    """On mitmproxy's loop, tasks start at once since Python 3.12."""
    if request.param == "tasks start at once":
        if sys.version_info < (3, 12):
            pytest.skip("Python 3.11 has no eager tasks")
        asyncio.get_running_loop().set_task_factory(_at_once)
    return Client()


def _at_once(loop: asyncio.AbstractEventLoop, coroutine: Any, **known: Any) -> asyncio.Task[Any]:
    """`asyncio.eager_task_factory`, which some of uvloop's arguments are new to."""
    return asyncio.Task(coroutine, loop=loop, **known | {"eager_start": True})


def told(client: Client) -> list[tuple[str, Any]]:
    """The events so far, by the name of their class and what came with them."""
    return [
        (type(event).__name__, getattr(event, "data", getattr(event, "reply", None)))
        for event in client.events
    ]


async def test_a_new_connection_takes_a_moment(client: Client) -> None:
    server = await client.open()
    assert told(client) == [("OpenConnectionCompleted", None)]
    assert client.handler.hooks == ["server_connect", "server_connected"]
    assert (server.state, server.peername) == (ConnectionState.OPEN, ("192.0.2.1", 443))
    assert (server.tls_version, server.cipher, server.alpn) == ("TLSv1.3", "AES", b"http/1.1")
    stood = server.timestamp_tls_setup or 0.0
    times = (server.timestamp_start, server.timestamp_tcp_setup)
    assert times == pytest.approx((stood - 0.3, stood - 0.2))
    lease = client.leases.get(server)
    assert lease
    assert (lease.reused, lease.connect_seconds, lease.tls_seconds) == (False, 0.1, 0.2)


async def test_one_that_stands_is_there_at_once(client: Client) -> None:
    client.hand_back(await client.open())
    client.events.clear()
    server = Server(address=(KEY.host, KEY.port))
    assert client.leases.open(OpenUpstream(server, KEY))
    assert (server.connected, client.events) == (True, [])
    lease = client.leases.get(server)
    assert lease
    assert (lease.reused, lease.connect_seconds, lease.tls_seconds) == (True, 0.0, 0.0)


async def test_a_session_ticket_of_tls_costs_no_new_connection(client: Client) -> None:
    """It is there to be read as the next request comes, and the loop reads it a moment later."""
    client.hand_back(await client.open())
    [connection] = client.made
    connection.transport.unread = True
    server = Server(address=(KEY.host, KEY.port))
    assert not client.leases.open(OpenUpstream(server, KEY))
    connection.transport.unread = False
    await turns()
    lease = client.leases.get(server)
    assert lease
    assert (lease.connection, lease.reused, len(client.made)) == (connection, True, 1)


async def test_a_fresh_one_is_not_one_that_stands(client: Client) -> None:
    client.hand_back(await client.open())
    server = await client.open(fresh=True)
    lease = client.leases.get(server)
    assert lease
    assert (lease.reused, len(client.made)) == (False, 2)


async def test_a_hook_may_refuse_a_new_connection(client: Client) -> None:
    """As mitmproxy itself does with those to its own address."""
    client.handler.refusal = "not there"
    server = await client.open()
    assert told(client) == [("OpenConnectionCompleted", "not there")]
    assert client.handler.hooks == ["server_connect", "server_connect_error"]
    assert (client.dialling.asked, server.connected) == ([], False)


async def test_why_there_is_no_connection_is_told(client: Client) -> None:
    client.dialling.faults = ["refused"]
    server = await client.open()
    assert told(client) == [("OpenConnectionCompleted", "refused")]
    assert (server.error, client.leases.get(server)) == ("refused", None)


async def test_bytes_go_both_ways(client: Client) -> None:
    server = await client.open()
    assert client.leases.execute(commands.SendData(server, b"question"))
    [connection] = client.made
    assert connection.transport.written == b"question"
    connection.data_received(b"answer")
    assert told(client)[1:] == [("DataReceived", b"answer")]


async def test_after_it_is_handed_back_it_is_another_ones(client: Client) -> None:
    """Late commands of the first one do not reach it, and what comes is not for it."""
    first = await client.open()
    client.hand_back(first)
    second = await client.open()
    client.events.clear()
    [connection] = client.made
    client.leases.execute(commands.SendData(first, b"late"))
    client.leases.execute(commands.CloseConnection(first))
    client.leases.execute(commands.SendData(second, b"mine"))
    assert (connection.transport.written, connection.transport.aborted) == (b"mine", False)
    connection.data_received(b"x")
    [event] = client.events
    assert isinstance(event, events.DataReceived)
    assert event.connection is second


async def test_an_end_of_upstreams_is_told_once(client: Client) -> None:
    server = await client.open()
    [connection] = client.made
    connection.eof_received()
    connection.connection_lost(ConnectionResetError())
    assert told(client)[1:] == [("ConnectionClosed", None)]
    assert (server.state, client.leases.get(server)) == (ConnectionState.CLOSED, None)


async def test_what_is_closed_here_says_nothing_more(client: Client) -> None:
    server = await client.open()
    client.leases.execute(commands.CloseConnection(server))
    [connection] = client.made
    connection.connection_lost(None)
    assert told(client)[1:] == []
    assert connection.transport.aborted
    assert len(client.upstreams) == 0


async def test_closing_while_it_connects_ends_that(client: Client) -> None:
    client.dialling.held = True
    server = await client.open()
    client.leases.execute(commands.CloseConnection(server))
    await turns()
    assert (client.events, client.made) == ([], [])
    assert client.leases._tasks == set()


async def test_one_that_ends_at_the_moment_at_which_it_comes_back_is_not_used(
    client: Client,
) -> None:
    used = await client.open()
    client.dialling.held = True
    server = await client.open()
    client.hand_back(used)
    client.made[0].eof_received()  # before the one who waits has taken it
    await turns()
    await client.dialling.finish()
    await client.dialling.finish()
    lease = client.leases.get(server)
    assert lease
    assert (lease.connection.is_open, lease.reused) == (True, False)


async def test_a_new_one_that_ends_before_it_is_used_is_an_error(client: Client) -> None:
    def end(hook: str) -> None:
        if client.handler.hooks[-1:] == ["server_connected"]:
            client.made[0].eof_received()

    client.handler.hooks = _Watched(end)
    await client.open()
    [(name, error)] = told(client)
    assert (name, error) == ("OpenConnectionCompleted", module.ENDED)


async def test_one_that_speaks_first_is_an_error(client: Client) -> None:
    """While an addon takes its time for the new connection. The layer has no request there yet."""
    client.handler.pause = asyncio.Event()
    server = await client.open()
    [connection] = client.made
    connection.data_received(b"220 mail.example\r\n")
    client.handler.pause.set()
    await turns()
    assert told(client) == [("OpenConnectionCompleted", module.ENDED)]
    assert (connection.transport.aborted, client.leases.get(server)) == (True, None)


async def test_who_leaves_while_an_addon_takes_its_time(client: Client) -> None:
    client.handler.pause = asyncio.Event()
    server = await client.open()
    client.leases.execute(commands.CloseConnection(server))
    await turns()
    assert (client.events, client.leases._tasks) == ([], set())
    assert client.made[0].transport.aborted


class _Watched(list[str]):
    """A list that calls `then` with what is appended."""

    def __init__(self, then: Callable[[str], None]) -> None:
        super().__init__()
        self._then = then

    def append(self, item: str) -> None:
        super().append(item)
        self._then(item)


async def test_events_in_the_middle_of_others_come_after_them(client: Client) -> None:
    """In their order. The layer can't be entered twice."""
    await client.open()
    [connection] = client.made

    def more(event: events.Event) -> None:
        if getattr(event, "data", b"") == b"1":
            connection.data_received(b"2")
            connection.data_received(b"3")
            assert told(client)[-1] == ("DataReceived", b"1")

    client.handler.recorder.then = more
    connection.data_received(b"1")
    connection.data_received(b"4")
    await turns()
    assert told(client)[1:] == [("DataReceived", b"%d" % n) for n in (1, 2, 3, 4)]


async def test_one_whose_rest_is_not_read_yet_is_not_used_again(client: Client) -> None:
    """What comes after a response may be the next request's, if that comes from another client."""
    server = await client.open()
    [connection] = client.made

    def more(event: events.Event) -> None:
        if getattr(event, "data", b"") == b"response":
            connection.data_received(b"HTTP/1.1 200 OK\r\n")
            client.hand_back(server)

    client.handler.recorder.then = more
    connection.data_received(b"response")
    assert (connection.transport.aborted, len(client.upstreams)) == (True, 0)


async def test_nothing_is_left_of_a_client_who_has_gone(client: Client) -> None:
    """However its layer ended, even by a fault."""
    await client.open()
    client.dialling.held = True
    await client.open()
    client.leases.close()
    await turns()
    assert (client.made[0].transport.aborted, len(client.made)) == (True, 1)
    assert (told(client)[1:], client.leases._tasks) == ([], set())


async def test_nothing_more_is_read_while_the_client_does_not_read(client: Client) -> None:
    accepted: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, w: accepted.append(w), "127.0.0.1", 0)
    async with server, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        io = ConnectionIO(reader=reader, writer=writer)
        client.handler.transports[client.handler.client] = io
        await client.open()
        [connection] = client.made
        connection.data_received(b"a")
        assert not connection.transport.paused
        while writer.transport.get_write_buffer_size() <= module.UNREAD:
            writer.write(bytes(1 << 20))  # what the client is not reading
        connection.data_received(b"b")
        assert connection.transport.paused
        writer.transport.abort()  # it leaves
        while connection.transport.paused:  # noqa: ASYNC110 - the transport has no event for this
            await asyncio.sleep(0.005)
        for each in accepted:
            each.transport.abort()


async def test_commands_to_the_client_are_not_for_upstream(client: Client) -> None:
    peer = client.handler.client
    assert not client.leases.execute(commands.SendData(peer, b"x"))
    assert not client.leases.execute(commands.Log("x"))
