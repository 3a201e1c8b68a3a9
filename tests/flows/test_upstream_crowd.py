"""Many clients, many upstreams, and few descriptors."""

from __future__ import annotations

import asyncio
import os
import resource
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from neurolink_mitm.core.settings.values import Config, Network
from neurolink_mitm.dataplane.upstreams import opening
from tests.cli.processes import Shell
from tests.connect_proxy import Authority
from tests.flows.harness import LIMIT, Proxy, account, message, raw_request
from tests.flows.raw_upstream import JSON, MESSAGE, RawUpstream, answer, says
from tests.waiting import wait_until

ANSWER = says(answer(MESSAGE, **JSON))
CROWD = 400
HOSTS = 100
HOST = "upstream.example"


@pytest.fixture(autouse=True, scope="module")
def _descriptors() -> Iterator[None]:
    """Both ends of each connection are in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def crowd(proxy: Proxy, count: int) -> list[int]:
    """The statuses that so many clients get at once, each on a connection of its own."""
    asked = raw_request(connection="close")

    async def one() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.runtime.port)
        writer.write(asked)
        received = await reader.read()
        writer.close()
        return int(received.split(maxsplit=2)[1])

    async def all_of_them() -> list[int]:
        async with asyncio.timeout(2 * LIMIT):
            return await asyncio.gather(*(one() for _ in range(count)))

    return asyncio.run(all_of_them())


def resolve(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Have all names lead to the next of `addresses`, and to the last one from then on."""
    left = list(addresses)

    async def lookup(*_: object, **__: object) -> list[Any]:
        host, port = left.pop(0) if len(left) > 1 else left[0]
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)

    monkeypatch.setattr(opening, "addresses_of", lookup)


def ask(proxy: Proxy) -> httpx.Response:
    url = f"{proxy.url}/v1/messages"
    return httpx.post(url, json=message(stream=False), timeout=LIMIT, trust_env=False)


@pytest.mark.timeout(120)
def test_a_crowd_at_once(authority: Authority, certificate: Path) -> None:
    """All are served. Few connections are kept, and no descriptor beside theirs."""
    with (
        RawUpstream(ANSWER, certificate=certificate) as upstream,
        Proxy([account("a", upstream.url)], trusted=authority.path) as proxy,
    ):
        crowd(proxy, 1)
        before = descriptors()
        assert crowd(proxy, CROWD) == [200] * CROWD
        wait_until(lambda: proxy.busy == 0, "nobody is served")
        unused = proxy.plane.upstreams
        assert len(unused) <= 100
        # an end for upstream, too, which is in this process
        wait_until(lambda: descriptors() <= before + 2 * len(unused), "descriptors come back")
        upstream.close_connections()
        wait_until(lambda: len(unused) == 0, "what upstream closes is forgotten")
        wait_until(lambda: descriptors() <= before, "all descriptors come back")


@pytest.mark.timeout(120)
def test_a_hundred_hosts(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = [account(f"a{n}", f"https://h{n}.{HOST}") for n in range(HOSTS)]
    certificate = authority.certificate(f"*.{HOST}")
    config = Config(network=Network(warm=3))
    with (
        RawUpstream(ANSWER, certificate=certificate) as upstream,
        Proxy(pool, config, "round-robin", trusted=authority.path) as proxy,
    ):
        resolve(monkeypatch, ("127.0.0.1", upstream.port))
        assert crowd(proxy, HOSTS) == [200] * HOSTS
        assert len({row.account for row in proxy.rows.wait(HOSTS)}) == HOSTS
        unused = proxy.plane.upstreams
        wait_until(lambda: len(unused) <= unused.most_idle, "too many are kept")
        assert len(unused) > 0


def test_a_name_that_leads_elsewhere_later(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is used for as long as it stands; the next one is made to where the name leads then."""
    certificate = authority.certificate(HOST)
    config = Config(network=Network(warm=0))
    with (
        RawUpstream(ANSWER, certificate=certificate) as first,
        RawUpstream(ANSWER, certificate=certificate) as second,
        Proxy([account("a", f"https://{HOST}")], config, trusted=authority.path) as proxy,
    ):
        resolve(monkeypatch, ("127.0.0.1", first.port), ("127.0.0.1", second.port))
        assert [ask(proxy).status_code for _ in range(2)] == [200, 200]
        first.close_connections()
        assert ask(proxy).headers["x-neurolink-attempts"] == "1"
        assert (len(first.requests), len(second.requests)) == (2, 1)


def test_an_upstream_of_ipv6_only(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        RawUpstream(ANSWER, certificate=authority.certificate(HOST), host="::1") as upstream,
        Proxy([account("a", f"https://{HOST}")], trusted=authority.path) as proxy,
    ):
        resolve(monkeypatch, ("::1", upstream.port))
        assert ask(proxy).status_code == 200


# --- few descriptors


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """A process that runs the proxy, with a dozen unused connections to upstream; and its URL."""
    with RawUpstream(slowly) as upstream, Shell(tmp_path / "shell") as shell:
        pool = f"{{anthropic: [{{name: a, apiKey: sk-ant-test-a, baseUrl: '{upstream.url}'}}]}}"
        shell.write("proxy-config.yaml", f"version: 1\naccounts: {pool}\n")
        proxy, url = shell.serve()
        yield proxy.pid, url


def slowly(connection: socket.socket) -> None:
    time.sleep(0.2)
    ANSWER(connection)


def leave_none(pid: int) -> int:
    """Lower the limit to the highest descriptor. Return how many below it are left all the same."""
    numbers = [int(name) for name in os.listdir(f"/proc/{pid}/fd")]
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    limit = max(numbers) + 1
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))
    return limit - len(numbers)


@pytest.mark.timeout(120)
def test_where_no_descriptor_is_left(served: tuple[int, str]) -> None:
    """Unused connections to upstream go first; then new clients are turned away, at no cost; and it recovers."""
    pid, url = served
    at = ("127.0.0.1", int(url.rpartition(":")[2]))
    with ExitStack() as stack:

        def come(count: int) -> list[socket.socket]:
            return [stack.enter_context(socket.create_connection(at, LIMIT)) for _ in range(count)]

        for client in (clients := come(12)):
            client.sendall(raw_request())
        for client in clients:
            assert client.recv(12) == b"HTTP/1.1 200"
            client.close()
        wait_until(lambda: peers(pid, url)[0] == 0, "no client")
        assert peers(pid, url)[1] >= 12
        come(leave_none(pid) + 4)
        wait_until(lambda: peers(pid, url)[1] == 0, "unused connections are closed", 20)
        health = httpx.get(f"{url}/health", timeout=LIMIT)
        assert health.status_code == 200
        refused = come(40)
        wait_until(lambda: sum(map(has_ended, refused)) >= 20, "new clients are turned away")
        come(10)  # which nobody accepts
        assert cpu_of_a_second(pid) < 0.3
    wait_until(lambda: served_again(url), "it serves again")


def has_ended(client: socket.socket) -> bool:
    if not select.select([client], [], [], 0)[0]:
        return False
    try:
        return client.recv(1) == b""
    except OSError:
        return True


def cpu_of_a_second(pid: int) -> float:
    process = psutil.Process(pid)
    began = sum(process.cpu_times()[:2])
    time.sleep(1)
    return float(sum(process.cpu_times()[:2]) - began)


def peers(pid: int, url: str) -> tuple[int, int]:
    """The process's connections with clients, and those with upstream."""
    own = int(url.rpartition(":")[2])
    found = [each.laddr.port == own for each in psutil.Process(pid).net_connections("tcp")
             if each.status != "LISTEN"]  # fmt: skip
    return found.count(True), found.count(False)


def served_again(url: str) -> bool:
    try:
        return httpx.post(f"{url}/v1/messages", json=message(stream=False), timeout=5).is_success
    except httpx.TransportError:
        return False
