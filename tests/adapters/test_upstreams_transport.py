from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from neurolink_mitm.adapters.network import Network, read_network
from neurolink_mitm.adapters.oauth_client import OAuthClient
from neurolink_mitm.adapters.oauth_wire import LARGEST
from neurolink_mitm.adapters.upstreams_transport import transport_over
from neurolink_mitm.core.auth.oauth import RefreshError
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import OAuth
from neurolink_mitm.dataplane.upstreams.shared import SAFE_IDLE, Upstreams
from neurolink_mitm.dataplane.upstreams.tls import TlsSettings, UpstreamTrust
from neurolink_mitm.sandbox import Account, Reply
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.sandbox.wire import Tls
from tests.connect_proxy import COMPANY, Authority, connect_proxy, dead_proxy
from tests.dataplane.upstreams.fakes import (
    KEY,
    Dialling,
    FakeClock,
    FakeConnection,
    make_upstreams,
    turns,
)
from tests.waiting import LIMIT

URL = f"https://{KEY.host}/v1/oauth/token"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
REFRESH = Secret("sk-ant-ort-test-a")


class Asking:
    """Requests by a transport over fake connections."""

    def __init__(self) -> None:
        self.upstreams, self.dialling, self.clock = make_upstreams()
        self._transport = transport_over(self.upstreams)

    @property
    def made(self) -> list[FakeConnection]:
        return self.dialling.made

    async def begin(self) -> asyncio.Task[httpx.Response]:
        """Send a request."""
        request = httpx.Request("POST", URL, json={"refresh_token": "once"})
        task = asyncio.ensure_future(self._transport(None).handle_async_request(request))
        await turns()
        return task

    async def ask(self, *pieces: bytes, on: int = -1) -> httpx.Response:
        """Send a request, and answer it on the connection of this number."""
        task = await self.begin()
        for piece in pieces:
            self.made[on].data_received(piece)
        async with asyncio.timeout(LIMIT):
            response = await task
            await response.aread()
            return response

    async def spare(self) -> FakeConnection:
        """A connection that nobody has used."""
        self.upstreams.put_back(await self.upstreams.connect(KEY, fresh=True))
        return self.made[-1]


@pytest.fixture
def asking() -> Asking:
    return Asking()


async def test_the_request_goes_out_as_it_is(asking: Asking) -> None:
    assert (await asking.ask(OK)).json() == {}
    head, _, body = bytes(asking.made[0].transport.written).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/oauth/token HTTP/1.1\r\n")
    assert b"host: up.example" in head.lower()
    assert json.loads(body) == {"refresh_token": "once"}


@pytest.mark.parametrize(
    "response",
    [
        OK,
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
    ],
    ids=["length", "100", "chunked"],
)
@pytest.mark.parametrize("size", [1, 1000])
async def test_a_connection_is_handed_back(asking: Asking, response: bytes, size: int) -> None:
    pieces = [response[at : at + size] for at in range(0, len(response), size)]
    for _ in range(2):
        assert (await asking.ask(*pieces)).content == b"{}"
    assert (len(asking.made), asking.made[0].uses) == (1, 2)


@pytest.mark.parametrize(
    "response",
    [
        OK + b"HTTP/1.1 200 OK\r\n",
        OK.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"),
        OK.replace(b"1.1", b"1.0"),
    ],
    ids=["bytes after the end", "connection: close", "HTTP/1.0"],
)
async def test_one_that_is_of_no_more_use_is_closed(asking: Asking, response: bytes) -> None:
    assert (await asking.ask(response)).content == b"{}"
    assert asking.made[0].transport.aborted
    assert len(asking.upstreams) == 0


async def test_bytes_after_a_response_that_was_handed_back_close_it(asking: Asking) -> None:
    """Before the one who asked has come to his response."""
    task = await asking.begin()
    asking.made[0].data_received(OK)
    asking.made[0].data_received(b"HTTP/1.1 200 OK\r\n")
    assert (await task).status_code == 200
    assert (asking.made[0].transport.aborted, len(asking.upstreams)) == (True, 0)


async def test_a_body_that_lasts_as_long_as_the_connection(asking: Asking) -> None:
    task = await asking.begin()
    asking.made[0].data_received(b"HTTP/1.1 200 OK\r\n\r\n{}")
    asking.made[0].eof_received()
    assert await (await task).aread() == b"{}"


async def test_a_body_is_cut_off(asking: Asking) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (9 * LARGEST)
    response = await asking.ask(head, bytes(LARGEST), b"x", b"and more")
    assert len(response.content) == LARGEST + 1
    assert asking.made[0].transport.aborted


@pytest.mark.parametrize(
    "start",
    [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}"],
    ids=["nothing", "half a head", "half a body"],
)
async def test_a_request_is_never_sent_twice(asking: Asking, start: bytes) -> None:
    """Whether the refresh token was used nobody knows. The next request gets a new connection."""
    first, other = await asking.spare(), await asking.spare()
    task = await asking.begin()
    other.data_received(start)
    other.eof_received()
    with pytest.raises(httpx.RemoteProtocolError):
        await task
    assert len(asking.made) == 2
    assert bytes(first.transport.written) == b""
    assert (await asking.ask(OK)).status_code == 200
    assert len(asking.made) == 3
    assert (await asking.ask(OK, on=2)).status_code == 200
    assert len(asking.made) == 3


@pytest.mark.parametrize("bad", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 101 X\r\n\r\n"])
async def test_what_is_no_response(asking: Asking, bad: bytes) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await asking.ask(bad, b"and more")
    assert asking.made[0].transport.aborted


async def test_who_waits_no_longer_closes_it(asking: Asking) -> None:
    task = await asking.begin()
    task.cancel()
    await asyncio.wait((task,), timeout=LIMIT)
    assert asking.made[0].transport.aborted


@pytest.mark.parametrize(
    ("seconds", "used", "taken"),
    [
        (SAFE_IDLE - 0.1, True, True),
        (SAFE_IDLE, True, False),
        (SAFE_IDLE, False, True),
        (600.0, False, False),
    ],
    ids=["used just now", "used a while ago", "a spare", "an old spare"],
)
async def test_which_connection_is_taken(
    asking: Asking, seconds: float, used: bool, taken: bool
) -> None:
    """Not one that upstream may be about to close."""
    connection = await asking.spare()
    connection.uses = int(used)
    asking.clock.now += seconds
    await asking.ask(OK, on=0 if taken else 1)
    assert len(asking.made) == (1 if taken else 2)


async def test_none_that_has_something_to_read(asking: Asking) -> None:
    (await asking.spare()).transport.unread = True
    await asking.ask(OK, on=1)


async def test_no_spare_is_connected_for_a_refresh(asking: Asking) -> None:
    asking.upstreams.warm = 1
    await asking.ask(OK)
    await asking.ask(OK)
    assert len(asking.made) == 1


async def test_one_that_came_back_and_ended_is_replaced(asking: Asking) -> None:
    """Nothing was sent on it."""
    used = await asking.upstreams.connect(KEY)
    asking.dialling.held = True
    task = await asking.begin()
    asking.upstreams.put_back(used)
    used.eof_received()
    await turns()
    for _ in range(2):
        await asking.dialling.finish()
    asking.made[2].data_received(OK)
    assert (await task).status_code == 200
    assert not asking.made[0].transport.written


class EndingConnection(FakeConnection):
    """Ends as it is made."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.eof_received()


async def test_one_that_ends_at_once() -> None:
    upstreams = Upstreams(UpstreamTrust(), Dialling(), FakeClock(), EndingConnection)
    request = httpx.Request("POST", URL)
    with pytest.raises(httpx.ConnectError):
        await transport_over(upstreams)(None).handle_async_request(request)


# with real servers, held against httpx's own transport


HOST = "login.example"
ACCOUNT = Account("a", "sk-ant-oat-test-a", "oauth", REFRESH.reveal(), expires_in=60)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def sandbox(authority: Authority) -> Iterator[SandboxServer]:
    with SandboxServer([ACCOUNT], tls=Tls(str(authority.certificate(HOST)))) as server:
        yield server


@asynccontextmanager
async def clients(
    network: Network, url: str, trusted: Path | None = None
) -> AsyncIterator[tuple[OAuthClient, OAuthClient]]:
    """With httpx's own transport, and with ours."""
    settings = OAuth(token_urls=(f"{url}/v1/oauth/token",))
    upstreams = Upstreams(UpstreamTrust(TlsSettings(str(trusted) if trusted else None)))
    own = OAuthClient(settings, timeout=2.0, network=network)
    transport = transport_over(upstreams)
    yield own, OAuthClient(settings, timeout=2.0, network=network, transport=transport)
    upstreams.close()
    await turns()


async def faults(network: Network, url: str) -> list[tuple[str, bool]]:
    """What each says, and whether the endpoint was reached."""
    found = []
    async with clients(network, url) as both:
        for client in both:
            with pytest.raises(RefreshError) as caught:
                await client.refresh(REFRESH)
            found.append((caught.value.message, caught.value.answered))
    return found


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_by_an_http_proxy(authority: Authority, sandbox: SandboxServer, tls: bool) -> None:
    certificate = authority.certificate("localhost") if tls else None
    port = urlsplit(sandbox.url).port or 0
    with connect_proxy(port, login="me:p@ss", certificate=certificate) as proxy:
        named = f"http{'s' * tls}://me:p@ss@localhost:{proxy.server_address[1]}"
        network = read_network({"HTTPS_PROXY": named})
        async with clients(network, f"https://{HOST}", authority.path) as (_, client):
            first = await client.refresh(REFRESH)
            assert first.refresh_token
            await client.refresh(first.refresh_token)
        # once, unless a session ticket of TLS that is still to be read makes the second one dial anew
        assert set(proxy.targets) == {f"{HOST}:443"}


@pytest.mark.parametrize("login", ["me:wrong@", ""], ids=["wrong", "none"])
async def test_a_proxy_that_lets_nobody_through(login: str) -> None:
    with connect_proxy(login="me:right") as proxy:
        network = read_network({"HTTPS_PROXY": f"{login}{proxy.address}"})
        own, ours = await faults(network, f"https://{HOST}")
    assert "(407)" in ours[0]
    assert ours == own


async def test_a_proxy_that_is_dead() -> None:
    with dead_proxy() as address:
        network = read_network({"HTTPS_PROXY": address})
        own, ours = await faults(network, f"https://{HOST}")
    assert ours == own


async def test_a_server_that_is_not_there() -> None:
    with dead_proxy() as address:
        own, ours = await faults(Network(), f"http://{address}")
    assert ours == own


async def test_a_certificate_of_the_companys_own(sandbox: SandboxServer) -> None:
    with connect_proxy(urlsplit(sandbox.url).port or 0) as proxy:
        network = read_network({"HTTPS_PROXY": proxy.address})
        own, ours = await faults(network, f"https://{HOST}")
    assert f"issued by CN={COMPANY}" in ours[0]
    assert ours == own


@pytest.mark.parametrize(
    "reply",
    [
        Reply(503),
        Reply(302, body=b"", headers={"location": "http://x"}),
        Reply(body=b"{}"),
        Reply(stall_after=0),
        Reply(hang_up=True),
        Reply(cut_after=1),
    ],
    ids=lambda reply: repr(reply)[:60],
)
async def test_what_can_go_wrong(reply: Reply) -> None:
    with SandboxServer([ACCOUNT]) as server:
        server.script_tokens(reply, loop=True)
        own, ours = await faults(Network(), server.url)
    assert ours == own
