import socket
import time

import httpx
import pytest

from neurolink_mitm.sandbox.accounts import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.sandbox.asking import BY_KEY, Connect, Post, message, read_until


def test_it_has_the_default_accounts() -> None:
    with SandboxServer() as sandbox:
        told = httpx.get(f"{sandbox.url}/sandbox/accounts").json()
    assert [account["name"] for account in told] == ["alpha", "beta", "gamma"]


def test_stopped_it_refuses_connections(sandbox: SandboxServer) -> None:
    sandbox.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((sandbox.host, sandbox.port), timeout=5)


def test_started_again_it_is_where_it_was(sandbox: SandboxServer) -> None:
    sandbox.script("a", Reply(429), Reply(529))
    url = sandbox.url
    first = httpx.post(f"{url}/v1/messages", json=message(), headers=BY_KEY)
    sandbox.stop()
    sandbox.start()
    second = httpx.post(f"{url}/v1/messages", json=message(), headers=BY_KEY)
    assert (first.status_code, second.status_code) == (429, 529)
    assert len(sandbox.requests) == 2


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(stall_after=0), id="no head"),
        pytest.param(Reply(stall_after=2), id="stalled"),
        pytest.param(Reply(event_delay=60), id="slow"),
        pytest.param(Reply(events=100, chunk_text="x" * 100_000), id="more than the client reads"),
    ],
)
def test_open_streams_do_not_keep_it(
    sandbox: SandboxServer, connect: Connect, reply: Reply
) -> None:
    sandbox.script("a", reply)
    connections = [connect(stream=True) for _ in range(5)]
    sandbox.wait_for(lambda requests: sum(r.account == "a" for r in requests) == 5)
    begun = time.monotonic()
    sandbox.stop()
    assert time.monotonic() - begun < 2
    for connection in connections:
        try:
            read_until(connection, None)
        except ConnectionResetError:
            continue


def test_half_a_request_does_not_keep_it(sandbox: SandboxServer) -> None:
    with socket.create_connection((sandbox.host, sandbox.port), timeout=5) as half:
        half.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf")
        sandbox.wait_for(lambda requests: len(requests) == 1)
        sandbox.stop()
        assert read_until(half, None) == b""


def test_stopping_twice_is_stopping_once(sandbox: SandboxServer) -> None:
    sandbox.stop()
    sandbox.stop()


def test_starting_twice_is_a_mistake(sandbox: SandboxServer) -> None:
    with pytest.raises(RuntimeError, match=sandbox.url):
        sandbox.start()


def test_a_port_that_is_taken_is_an_error(sandbox: SandboxServer) -> None:
    other = SandboxServer(port=sandbox.port)
    with pytest.raises(OSError, match="in use"):
        other.start()


def test_scripts_change_while_it_runs(sandbox: SandboxServer, post: Post) -> None:
    statuses = [post().status_code]
    sandbox.script("a", Reply(529), Reply(), loop=True)
    statuses += [post().status_code for _ in range(3)]
    assert statuses == [200, 529, 200, 529]
