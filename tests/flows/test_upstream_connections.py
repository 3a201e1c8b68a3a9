"""Connections to upstream, through a real proxy: who uses them again, and when they are replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import pytest

from neurolink_mitm.core.settings.values import Config, Network
from tests.flows.harness import LIMIT, Proxy, account, message
from tests.flows.raw_upstream import RawUpstream, answer, says
from tests.waiting import wait_until

ANSWER = answer(b'{"type": "message", "content": [], "usage": {}}', content_type="application/json")
CONFIG = Config(network=Network(warm=0))


@pytest.fixture
def upstream() -> Iterator[RawUpstream]:
    with RawUpstream(says(ANSWER)) as upstream:
        yield upstream


def ask(proxy: Proxy, path: str = "/v1/messages") -> httpx.Response:
    """As a new client."""
    return httpx.post(proxy.url + path, json=message(stream=False), timeout=LIMIT, trust_env=False)


def test_a_client_uses_the_connection_of_another_one(upstream: RawUpstream) -> None:
    with Proxy([account("a", upstream.url)], CONFIG) as proxy:
        assert [ask(proxy).status_code for _ in range(3)] == [200, 200, 200]
        assert len(upstream.connections) == 1


def test_one_that_upstream_has_closed_meanwhile_is_replaced(upstream: RawUpstream) -> None:
    """Before a byte is sent on it."""
    with Proxy([account("a", upstream.url)], CONFIG) as proxy:
        ask(proxy)
        upstream.close_connections()
        assert ask(proxy).headers["x-neurolink-attempts"] == "1"
        assert (len(upstream.connections), len(upstream.requests)) == (2, 2)


def test_one_that_ends_as_the_request_comes_is_replaced_too(upstream: RawUpstream) -> None:
    """It was closed while the request was on its way. The client sees nothing of it, and no attempt is counted."""
    upstream.script(says(ANSWER), b"", says(ANSWER))
    with Proxy([account("a", upstream.url)], CONFIG) as proxy:
        ask(proxy)
        again = ask(proxy)
        assert (again.status_code, again.headers["x-neurolink-attempts"]) == (200, "1")
        assert len(upstream.requests) == 3


def test_but_what_may_not_be_sent_twice_is_not(upstream: RawUpstream) -> None:
    upstream.script(says(ANSWER), b"", says(ANSWER))
    with Proxy([account("a", upstream.url)], CONFIG) as proxy:
        ask(proxy)
        assert ask(proxy, "/v1/files").status_code >= 500
        assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    "act",
    [says(ANSWER, ANSWER), says(ANSWER + b"HTTP/1.1 200 OK\r\n"), says(answer(connection="close"))],
    ids=["a second response", "bytes after the end", "connection: close"],
)
def test_one_that_is_of_no_more_use_is_not_used_again(
    upstream: RawUpstream, act: Callable[..., None]
) -> None:
    upstream.script(act, says(ANSWER))
    with Proxy([account("a", upstream.url)], CONFIG) as proxy:
        for _ in range(2):
            assert ask(proxy).content in (ANSWER.partition(b"\r\n\r\n")[2], b"")
        assert len(upstream.connections) == 2


def test_a_spare_is_there_for_the_next_client(upstream: RawUpstream) -> None:
    """And is used by one who comes while the first one's connection is busy."""
    go_on = threading.Event()

    def slow(connection: object) -> None:
        go_on.wait(LIMIT)
        says(ANSWER)(connection)  # type: ignore[arg-type]

    upstream.script(slow, says(ANSWER))
    with Proxy([account("a", upstream.url)], replace(CONFIG, network=Network(warm=1))) as proxy:
        first = threading.Thread(target=ask, args=(proxy,))
        first.start()
        try:
            wait_until(lambda: len(upstream.connections) == 2, "a spare")
            assert ask(proxy).status_code == 200
            assert upstream.users == [0, 1]
        finally:
            go_on.set()
            first.join(LIMIT)


def test_a_spare_is_there_for_the_account_that_would_be_next(upstream: RawUpstream) -> None:
    """On another host: a failover finds it connected."""
    warm = replace(CONFIG, network=Network(warm=1))
    with (
        RawUpstream(says(ANSWER)) as other,
        Proxy([account("a", upstream.url), account("b", other.url)], warm) as proxy,
    ):
        ask(proxy)
        wait_until(lambda: len(other.connections) == 1, "a spare")
        assert other.requests == []
        upstream.script(says(answer(b"{}", "429 Too Many Requests")))
        assert ask(proxy).headers["x-neurolink-account"] == "b"
        assert other.users == [0]
