"""What becomes of requests that are under way when the proxy stops, wherever they stand."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from mitmproxy import http

from neurolink_mitm.core.status.readiness import REFUSALS
from neurolink_mitm.ports import Runtime
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.stack import stack
from tests.flows.harness import (
    LIMIT,
    Proxy,
    account,
    connect,
    events,
    message,
    raw_request,
    read_to_end,
)
from tests.waiting import wait_until


class Waiting:
    """An addon that never lets an attempt go."""

    def __init__(self) -> None:
        self.reached = False

    async def attempt(self, flow: http.HTTPFlow) -> None:
        self.reached = True
        await asyncio.Event().wait()


def body_of(answer: bytes) -> bytes:
    """Of an answer that is whole: of its length, or in chunks that end."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"chunked" not in head:
        assert int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]) == len(body)
        return body
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        whole, body = whole + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    assert size == b"0"
    return whole


def refusal(answer: bytes) -> dict[str, Any]:
    """Of an answer that says that the proxy is stopping."""
    assert answer.startswith(b"HTTP/1.1 529 Overloaded\r\n"), answer
    assert b"retry-after: 2" in answer.lower()
    error: dict[str, Any] = json.loads(body_of(answer))["error"]
    return error


STOPPING = {"type": "overloaded_error", "message": "this proxy is stopping"}


@pytest.mark.parametrize("stall", [0, "head", 1], ids=["no-head", "head", "no-content"])
def test_a_request_without_an_answer_is_answered_with_an_error(
    sandbox: SandboxServer, stall: Any
) -> None:
    sandbox.script("a", Reply(stall_after=stall))
    with Proxy([account("a", sandbox.url)]) as proxy, connect(proxy) as client:
        client.sendall(raw_request())
        sandbox.wait_for(lambda requests: len(requests) == 1)
        proxy.master.shutdown()
        answer = read_to_end(client)
        [row] = proxy.rows.wait()
    assert refusal(answer) == STOPPING
    assert (row.responseStatus, row.outcome, row.attempts) == (529, "error", 1)
    assert [attempt.errorType for attempt in proxy.rows.attempts] == ["proxy_stopped"]
    sandbox.wait_for(lambda requests: requests[0].disconnected)


def test_an_answer_that_is_read_whole_is_answered_with_an_error(sandbox: SandboxServer) -> None:
    sandbox.script("a", Reply(stall_after=1))
    asked = json.dumps(message(stream=False)).encode()
    with Proxy([account("a", sandbox.url)]) as proxy, connect(proxy) as client:
        client.sendall(raw_request(asked))
        sandbox.wait_for(lambda requests: len(requests) == 1)
        proxy.master.shutdown()
        answer = read_to_end(client)
        proxy.rows.wait()
    assert refusal(answer) == STOPPING


def test_an_answer_that_has_begun_ends_in_an_error_event(sandbox: SandboxServer) -> None:
    sandbox.script("a", Reply(stall_after=6))
    with Proxy([account("a", sandbox.url)]) as proxy, connect(proxy) as client:
        client.sendall(raw_request())
        received = b""
        while b"text_delta" not in received:
            received += client.recv(65536)
        proxy.master.shutdown()
        received += read_to_end(client)
        [row] = proxy.rows.wait()
    name, data = events(body_of(received))[-1]
    assert (name, data["error"]["type"]) == ("error", "overloaded_error")
    assert row.outcome == "truncated"


def test_a_connection_is_not_waited_for(silent_address: str) -> None:
    with Proxy([account("a", silent_address)]) as proxy, connect(proxy) as client:
        client.sendall(raw_request())
        wait_until(lambda: proxy.busy, "it connects")
        proxy.master.shutdown()
        answer = read_to_end(client)
        [row] = proxy.rows.wait()
    assert refusal(answer) == STOPPING
    assert row.responseStatus == 529


def test_a_hook_is_not_waited_for(sandbox: SandboxServer) -> None:
    """A refresh whose token endpoint is silent, say."""
    waiting = Waiting()

    def addons(runtime: Runtime) -> list[object]:
        return [*stack(runtime), waiting]

    with Proxy([account("a", sandbox.url)], addons=addons) as proxy, connect(proxy) as client:
        client.sendall(raw_request())
        wait_until(lambda: waiting.reached, "the hook waits")
        proxy.master.shutdown()
        answer = read_to_end(client)
        [row] = proxy.rows.wait()
    assert refusal(answer) == STOPPING
    assert (row.responseStatus, row.outcome) == (529, "error")
    assert sandbox.requests == []


def test_a_body_is_not_waited_for(sandbox: SandboxServer) -> None:
    whole = raw_request()
    with Proxy([account("a", sandbox.url)]) as proxy, connect(proxy) as client:
        client.sendall(whole[:-10])
        wait_until(lambda: proxy.busy, "it reads")
        proxy.master.shutdown()
        answer = read_to_end(client)
        [row] = proxy.rows.wait()
    assert refusal(answer) == STOPPING
    assert row.responseStatus == 529


def test_a_client_that_keeps_its_connection_is_hung_up_on_after_its_answer(
    sandbox: SandboxServer,
) -> None:
    """Not only when all others have theirs: it could ask again and again."""
    sandbox.script("a", Reply(stall_after=6), Reply(event_delay=0.05, events=5))
    with (
        Proxy([account("a", sandbox.url)], drain=LIMIT) as proxy,
        connect(proxy) as slow,
        connect(proxy) as idle,
        connect(proxy) as client,
    ):
        slow.sendall(raw_request())
        sandbox.wait_for(lambda requests: len(requests) == 1)
        client.sendall(raw_request())
        sandbox.wait_for(lambda requests: len(requests) == 2)
        proxy.master.shutdown()
        answer = read_to_end(client)
        assert read_to_end(idle) == b""
        assert proxy.busy == 1
    assert body_of(answer) == sandbox.requests[1].answer


def ask_ready(proxy: Proxy, version: str = "1.0") -> bytes:
    """As HAProxy's `option httpchk GET /ready` does, which has no `Host`."""
    with connect(proxy) as balancer:
        balancer.sendall(f"GET /ready HTTP/{version}\r\n\r\n".encode())
        return read_to_end(balancer)


def test_a_balancer_notices_before_connections_are_refused(sandbox: SandboxServer) -> None:
    with Proxy([account("a", sandbox.url)], drain=LIMIT) as proxy:
        assert ask_ready(proxy).startswith(b"HTTP/1.1 200")
        with connect(proxy) as client, connect(proxy) as later:
            proxy.loop.call_soon_threadsafe(proxy.master.shutdown)
            wait_until(lambda: proxy.runtime.readiness.phase == "draining", "it drains")
            for each in (client, later):
                each.sendall(raw_request())
                answer = read_to_end(each)
                assert answer.startswith(b"HTTP/1.1 200")
                assert b"\r\nconnection: close\r\n" in answer.lower()
            for _ in range(REFUSALS):
                answer = ask_ready(proxy)
                assert answer.startswith(b"HTTP/1.1 503")
                assert body_of(answer) == b'{"status":"draining"}'
    assert len(proxy.rows.requests) == 2
