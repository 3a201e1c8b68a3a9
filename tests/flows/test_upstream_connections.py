"""Connections to upstream over TLS, through a real proxy: who uses them again, and when they are replaced."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from neurolink_mitm.core.settings.values import Config, Network
from tests.connect_proxy import Authority
from tests.flows.harness import LIMIT, Proxy, account, connect, message, raw_request
from tests.flows.raw_upstream import (
    END,
    SSE,
    STREAM,
    Act,
    RawUpstream,
    answer,
    chunk,
    error,
    hang_up,
    head,
    reset,
    say_goodbye,
    says,
)
from tests.waiting import wait_until

MESSAGE = b'{"type": "message", "content": [], "usage": {}}'
ANSWER = answer(MESSAGE, content_type="application/json")
SPLIT = answer(b'{"type": "message", "content": "of another one"}', content_type="application/json")
KEPT = Network(warm=0)
LARGE = [{"role": "user", "content": "x" * 115_000}]


@pytest.fixture
def upstream(certificate: Path) -> Iterator[RawUpstream]:
    with RawUpstream(says(ANSWER), certificate=certificate) as upstream:
        yield upstream


@pytest.fixture
def proxy(authority: Authority, upstream: RawUpstream) -> Iterator[Proxy]:
    """Ours, with one account and no spares."""
    pool = [account("a", upstream.url)]
    with Proxy(pool, Config(network=KEPT), trusted=authority.path) as proxy:
        yield proxy


def ask(
    proxy: Proxy, path: str = "/v1/messages", method: str = "POST", **fields: Any
) -> httpx.Response:
    """As a new client."""
    body = message(**{"stream": False, **fields}) if method == "POST" else None
    return httpx.request(method, proxy.url + path, json=body, timeout=LIMIT, trust_env=False)


def unused(proxy: Proxy) -> int:
    return len(proxy.plane.upstreams)


def unused_to(proxy: Proxy, upstream: RawUpstream) -> int:
    port = urlsplit(upstream.url).port
    return sum(each.key.port == port for each in proxy.plane.upstreams._all_idle())


def test_a_client_uses_the_connection_of_another_one(proxy: Proxy, upstream: RawUpstream) -> None:
    assert [ask(proxy).status_code for _ in range(3)] == [200, 200, 200]
    assert len(upstream.connections) == 1
    assert [(row.reused, bool(row.tlsMs)) for row in proxy.rows.attempts] == [
        (False, True),
        (True, False),
        (True, False),
    ]


def test_a_connection_without_tls_is_used_again_too() -> None:
    with (
        RawUpstream(says(ANSWER)) as upstream,
        Proxy([account("a", upstream.url)], Config(network=KEPT)) as proxy,
    ):
        assert [ask(proxy).status_code for _ in range(2)] == [200, 200]
        assert len(upstream.connections) == 1


# --- one that upstream ends

ENDS = pytest.mark.parametrize("end", [hang_up, say_goodbye, reset])


@ENDS
def test_one_that_upstream_has_closed_meanwhile_is_replaced(
    proxy: Proxy, upstream: RawUpstream, end: Act
) -> None:
    """Before a byte is sent on it. It is forgotten at once, and no descriptor is kept for it."""
    ask(proxy)
    upstream.close_connections(end)
    wait_until(lambda: unused(proxy) == 0, "it is forgotten")
    assert ask(proxy).headers["x-neurolink-attempts"] == "1"
    assert (len(upstream.connections), len(upstream.requests)) == (2, 2)


@ENDS
def test_one_that_ends_as_the_request_comes_is_replaced_too(
    proxy: Proxy, upstream: RawUpstream, end: Act
) -> None:
    """It was closed while the request was on its way. The client sees nothing of it, and no attempt is counted."""
    upstream.script(says(ANSWER), end, says(ANSWER))
    ask(proxy)
    again = ask(proxy, messages=LARGE)
    assert (again.status_code, again.headers["x-neurolink-attempts"]) == (200, "1")
    _, lost, sent = upstream.requests
    assert lost == sent
    assert json.loads(sent.partition(b"\r\n\r\n")[2])["messages"] == LARGE
    assert [row.attempts for row in proxy.rows.wait(2)] == [1, 1]
    last = proxy.rows.attempts[-1]
    assert (last.reused, bool(last.tlsMs)) == (False, True)


@pytest.mark.parametrize(
    ("method", "path", "stream"),
    [
        ("POST", "/v1/messages", True),
        ("POST", "/v1/messages/count_tokens", False),
        ("GET", "/v1/files", False),
    ],
    ids=["streamed", "count", "get"],
)
def test_so_it_is_for_all_that_may_be_sent_twice(
    proxy: Proxy, upstream: RawUpstream, method: str, path: str, stream: bool
) -> None:
    upstream.script(says(ANSWER), hang_up, says(answer(STREAM, **SSE) if stream else ANSWER))
    ask(proxy)
    again = ask(proxy, path, method, stream=stream)
    assert (again.status_code, len(upstream.requests)) == (200, 3)
    assert again.content == (STREAM if stream else MESSAGE)


def test_but_what_may_not_be_sent_twice_is_not(proxy: Proxy, upstream: RawUpstream) -> None:
    upstream.script(says(ANSWER), hang_up, says(ANSWER))
    ask(proxy)
    assert ask(proxy, "/v1/files").status_code >= 500
    assert len(upstream.requests) == 2


def test_a_new_one_that_ends_too_is_a_failure(proxy: Proxy, upstream: RawUpstream) -> None:
    """Which counts, and is tried again as all failures are."""
    upstream.script(says(ANSWER), hang_up, hang_up, says(ANSWER))
    ask(proxy)
    again = ask(proxy)
    assert (again.status_code, again.headers["x-neurolink-attempts"]) == (200, "2")
    assert [row.reused for row in proxy.rows.attempts] == [False, False, False]


def test_one_that_ends_within_its_answer_is_a_failure(proxy: Proxy, upstream: RawUpstream) -> None:
    """Upstream has begun to work on it."""
    upstream.script(says(ANSWER), b"HTTP/1.1 200 OK\r\ncontent-", says(ANSWER))
    ask(proxy)
    again = ask(proxy)
    assert (again.status_code, again.headers["x-neurolink-attempts"]) == (200, "2")


# --- one that is of no more use


@pytest.mark.parametrize(
    "act",
    [
        says(ANSWER, SPLIT),
        says(ANSWER + SPLIT),
        says(ANSWER + b"HTTP/1.1 200 OK\r\n"),
        says(answer(MESSAGE, connection="close")),
        says(head(transfer_encoding="chunked") + b"2\r\n{}\r\n0\r\n\r\n" + SPLIT),
    ],
    ids=["second", "second-at-once", "half-a-second", "close", "chunks"],
)
def test_one_that_has_said_too_much_is_not_used_again(
    proxy: Proxy, upstream: RawUpstream, act: Callable[..., None]
) -> None:
    upstream.script(act, says(ANSWER))
    ask(proxy)
    assert ask(proxy).content == MESSAGE
    assert (len(upstream.connections), unused(proxy)) == (2, 1)


def test_one_that_speaks_later_is_closed(proxy: Proxy, upstream: RawUpstream) -> None:
    ask(proxy)
    upstream.close_connections(lambda connection: connection.sendall(SPLIT))
    wait_until(lambda: unused(proxy) == 0, "it is closed")
    assert ask(proxy).content == MESSAGE
    assert len(upstream.connections) == 2


def test_one_that_answers_before_it_has_the_request_is_not_used_again(
    certificate: Path, authority: Authority
) -> None:
    """The rest of the body would be taken for the next request."""
    refusal = answer(error("request_too_large"), "413 Too Large", content_type="application/json")
    with (
        RawUpstream(says(refusal), reads_body=False, certificate=certificate) as upstream,
        Proxy([account("a", upstream.url)], Config(network=KEPT), trusted=authority.path) as proxy,
    ):
        filler = [{"role": "user", "content": "x" * 16_000_000}]
        assert ask(proxy, messages=filler).status_code == 413
        assert unused(proxy) == 0


# --- those who leave


@pytest.mark.parametrize("stage", ["sent", "head", "streaming"])
def test_a_connection_of_one_who_leaves_is_closed(
    proxy: Proxy, upstream: RawUpstream, stage: str
) -> None:
    """At any stage of its answer: the rest of it would be another one's."""
    begun = head(transfer_encoding="chunked", **SSE) + chunk(STREAM[: -len(END)])
    pieces = {"sent": b"", "head": begun[:200], "streaming": begun}
    left = threading.Event()

    def act(connection: socket.socket) -> None:
        connection.sendall(pieces[stage])
        left.set() if connection.recv(1) == b"" else None

    upstream.script(act)
    with connect(proxy) as client:
        client.sendall(raw_request())
        wait_until(lambda: upstream.requests, "a request")
        if stage == "streaming":
            client.recv(100)
    assert left.wait(LIMIT)
    wait_until(lambda: proxy.busy == 0, "nobody is served")
    assert unused(proxy) == 0


def test_who_does_not_read_is_not_read_for(proxy: Proxy, upstream: RawUpstream) -> None:
    """Until it reads on; then all comes, and the connection is used again."""
    size = 40_000_000
    body = head(content_length=str(size), content_type="application/octet-stream")
    done = threading.Event()

    def act(connection: socket.socket) -> None:
        connection.sendall(body)
        for _ in range(size // 1_000_000):
            connection.sendall(bytes(1_000_000))
        done.set()

    upstream.script(act, says(ANSWER))
    with connect(proxy) as client:
        client.sendall(raw_request(b"", "/v1/files/1/content", "GET"))
        received = len(client.recv(100))
        assert not done.wait(0.5)
        while received < size:
            received += len(client.recv(1_000_000))
    assert done.wait(LIMIT)
    wait_until(lambda: unused(proxy) == 1, "the connection comes back")
    assert ask(proxy).content == MESSAGE
    assert len(upstream.connections) == 1


# --- spares


def test_a_spare_is_there_for_the_next_client(authority: Authority, upstream: RawUpstream) -> None:
    """And is used by one who comes while the first one's connection is busy."""
    go_on = threading.Event()

    def slow(connection: socket.socket) -> None:
        go_on.wait(LIMIT)
        connection.sendall(ANSWER)

    upstream.script(slow, says(ANSWER))
    with Proxy([account("a", upstream.url)], trusted=authority.path) as proxy:
        first = threading.Thread(target=ask, args=(proxy,))
        first.start()
        try:
            wait_until(lambda: len(upstream.connections) == 2, "a spare")
            wait_until(lambda: unused(proxy) == 1, "it is ready")
            assert ask(proxy).status_code == 200
            assert sorted(upstream.users) == [0, 1]
        finally:
            go_on.set()
            first.join(LIMIT)


def test_a_spare_is_there_for_the_account_that_would_be_next(
    authority: Authority, certificate: Path, upstream: RawUpstream
) -> None:
    """On another host: a failover finds it connected."""
    with (
        RawUpstream(says(ANSWER), certificate=certificate) as other,
        Proxy(
            [account("a", upstream.url), account("b", other.url)], trusted=authority.path
        ) as proxy,
    ):
        ask(proxy)
        # to the first there may be two or three: a spare that is ready first serves, and another one is made
        wait_until(lambda: unused_to(proxy, other) == 1, "a spare is ready")
        assert other.requests == []
        upstream.script(says(answer(b"{}", "429 Too Many Requests")))
        assert ask(proxy).headers["x-neurolink-account"] == "b"
        assert other.users == [0]
