"""Failover as the client sees it: not at all."""

from __future__ import annotations

import time

import httpx
import pytest

from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows.ahead import Ahead, ask_in_vain
from tests.flows.harness import (
    MODEL,
    Proxy,
    account,
    connect,
    events,
    message,
    raw_request,
    read_answer,
    timeouts,
)

LIMITED = Reply(429, headers={"retry-after": "30"})


def ask(client: httpx.Client, **fields: object) -> httpx.Response:
    return client.post("/v1/messages", json=message(**fields))


def test_bytes_are_upstreams(client: httpx.Client, sandbox: SandboxServer) -> None:
    answer = ask(client)
    assert answer.content == sandbox.requests[-1].answer
    assert answer.headers["x-neurolink-attempts"] == "1"
    assert answer.headers["x-neurolink-account"] == "a"
    assert answer.headers["x-neurolink-request-id"].startswith("req_")


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_limited_account_is_left(
    client: httpx.Client, sandbox: SandboxServer, proxy: Proxy, stream: bool
) -> None:
    sandbox.script("a", LIMITED)
    answer = ask(client, stream=stream)
    assert answer.status_code == 200
    assert answer.content == sandbox.requests[-1].answer
    assert answer.headers["x-neurolink-attempts"] == "2"
    assert answer.headers["x-neurolink-account"] == "b"
    assert [r.account for r in sandbox.requests] == ["a", "b"]
    [row] = proxy.rows.wait()
    assert (row.outcome, row.account, row.attempts) == ("complete", "b", 2)
    assert [(r.account, r.responseStatus) for r in proxy.rows.attempts] == [("a", 429), ("b", 200)]


def test_first_byte_does_not_wait_for_the_last(proxy: Proxy, sandbox: SandboxServer) -> None:
    """Streaming goes on through a failover: bytes reach the client while upstream still writes."""
    sandbox.script("a", LIMITED)
    sandbox.script("b", Reply(stall_after=5))
    with connect(proxy) as connection:
        connection.sendall(raw_request())
        received = b""
        while b"text_delta" not in received:
            received += connection.recv(65536)
    assert not sandbox.requests[-1].done or sandbox.requests[-1].disconnected


def test_first_content_is_passed_on_at_once(proxy: Proxy, sandbox: SandboxServer) -> None:
    """Upstream writes an event each 100 ms; the first with content is here before the next is sent."""
    sandbox.script("a", LIMITED)
    sandbox.script("b", Reply(event_delay=0.1, events=5))
    with connect(proxy) as connection:
        connection.sendall(raw_request())
        connection.recv(1)
        first_byte = time.monotonic()
        read_answer(connection)
    content = [at for at, data in sandbox.requests[-1].sent if b"content_block_delta" in data]
    assert content[0] <= first_byte < content[1]


def test_keep_alive_survives(proxy: Proxy, sandbox: SandboxServer) -> None:
    sandbox.script("a", LIMITED, Reply())
    with connect(proxy) as connection:
        for _ in range(3):
            connection.sendall(raw_request())
            assert read_answer(connection).startswith(b"HTTP/1.1 200")
    assert len(proxy.rows.wait(3)) == 3


def test_all_cooling(client: httpx.Client, sandbox: SandboxServer) -> None:
    sandbox.script("a", Reply(429, headers={"retry-after": "30"}))
    sandbox.script("b", Reply(429, headers={"retry-after": "20"}))
    answer = ask(client)
    assert answer.status_code == 429
    assert answer.json()["error"]["type"] == "rate_limit_error"
    assert 18 <= int(answer.headers["retry-after"]) <= 20
    for name in (" a: ", " b: "):
        assert name in answer.json()["error"]["message"]
    again = ask(client)
    assert again.status_code == 429
    assert len(sandbox.requests) == 2  # nobody was asked again


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_own_fault_is_returned_as_is(
    client: httpx.Client, sandbox: SandboxServer, status: int
) -> None:
    sandbox.script("a", Reply(status, message="no good"))
    answer = ask(client)
    assert (answer.status_code, answer.content) == (status, sandbox.requests[-1].answer)
    assert len(sandbox.requests) == 1


FAILURES = [
    Reply(529),
    Reply(500),
    Reply(503, html=True),
    Reply(401),
    Reply(402),
    Reply(403),
    Reply(empty=True),
    Reply(error_first="overloaded_error"),
    Reply(error_first="rate_limit_error"),
    Reply(hang_up=True),
    Reply(hang_up=True, reset=True),
    Reply(cut_after=2),
    Reply(cut_after=2, reset=True),
    Reply(400, message="Your credit balance is too low to access the API."),
    Reply(400, error_type="overloaded_error"),
]
STALLS = [Reply(stall_after=0), Reply(stall_after="head"), Reply(delay=60)]


def differs(reply: Reply) -> str:
    """What of a reply is not as usual, for the test's name."""
    return ",".join(f"{k}={v}" for k, v in vars(reply).items() if v != getattr(Reply(), k))


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("reply", FAILURES, ids=differs)
def test_failure_is_invisible(
    proxy: Proxy, client: httpx.Client, sandbox: SandboxServer, reply: Reply, stream: bool
) -> None:
    sandbox.script("a", reply)
    answer = ask(client, stream=stream)
    assert answer.status_code == 200
    assert answer.content == sandbox.requests[-1].answer
    assert [r.account for r in sandbox.requests] == ["a", "b"]
    assert proxy.rows.wait()[0].outcome == "complete"


@pytest.mark.parametrize("reply", STALLS, ids=differs)
def test_silence_before_the_first_event_is_invisible(
    sandbox: SandboxServer, proxy: Proxy, ahead: Ahead, reply: Reply
) -> None:
    sandbox.script("a", reply)
    answer = ask_in_vain(proxy, sandbox, ahead, [proxy.config.timeouts.first_event])
    assert answer.content == sandbox.requests[-1].answer
    assert [r.errorType for r in proxy.rows.attempts] == ["timeout", None]
    sandbox.wait_for(lambda requests: requests[0].disconnected)


def test_refused_connection(sandbox: SandboxServer) -> None:
    pool = [account("a", "http://127.0.0.1:9"), account("b", sandbox.url)]
    with Proxy(pool) as proxy, connect(proxy) as connection:
        for _ in range(2):  # a refused address is asked again: it may be back
            connection.sendall(raw_request())
            assert b"x-neurolink-attempts: 2" in read_answer(connection)
        assert [r.errorType for r in proxy.rows.attempts if r.account == "a"] == [
            "connect_error",
            "connect_error",
        ]


def test_connect_timeout(sandbox: SandboxServer, ahead: Ahead, silent_address: str) -> None:
    pool = [account("a", silent_address), account("b", sandbox.url)]
    with Proxy(pool, timeouts(connect=25)) as proxy, connect(proxy) as connection:
        connection.sendall(raw_request())
        ahead.wait_for_limit(25)
        ahead.pass_time(proxy, 25)
        assert b"x-neurolink-attempts: 2" in read_answer(connection)
        assert proxy.rows.wait()[0].outcome == "complete"
        assert proxy.rows.attempts[0].errorType == "connect_timeout"


def test_transient_trouble_everywhere_ends_with_upstreams_word(
    client: httpx.Client, sandbox: SandboxServer
) -> None:
    sandbox.script("a", Reply(529))
    sandbox.script("b", Reply(503, message="b is down"))
    answer = ask(client)
    assert (answer.status_code, answer.content) == (503, sandbox.requests[-1].answer)
    assert [r.account for r in sandbox.requests] == ["a", "b", "a", "b"]


def test_one_account_is_tried_once_more(sandbox: SandboxServer) -> None:
    sandbox.script("a", Reply(hang_up=True), Reply())
    with Proxy([account("a", sandbox.url)]) as proxy, connect(proxy) as connection:
        connection.sendall(raw_request())
        assert b"x-neurolink-attempts: 2" in read_answer(connection)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_cut_after_content_is_closed_well(
    client: httpx.Client, sandbox: SandboxServer, proxy: Proxy, reset: bool
) -> None:
    sandbox.script("a", Reply(cut_after=6, reset=reset))
    answer = ask(client)
    assert answer.status_code == 200
    name, data = events(answer.content)[-1]
    assert (name, data["error"]["type"]) == ("error", "overloaded_error")
    assert answer.content.startswith(sandbox.requests[-1].answer)
    assert proxy.rows.wait()[0].outcome == "truncated"
    assert len(sandbox.requests) == 1
    assert ask(client).status_code == 200


def test_clean_end_without_stop_is_closed_well(
    client: httpx.Client, sandbox: SandboxServer, proxy: Proxy
) -> None:
    sandbox.script("a", Reply(no_stop=True))
    assert events(ask(client).content)[-1][0] == "error"
    assert proxy.rows.wait()[0].outcome == "truncated"


def test_error_after_content_goes_to_the_client(
    client: httpx.Client, sandbox: SandboxServer, proxy: Proxy
) -> None:
    sandbox.script("a", Reply(error_after=6, error_type="overloaded_error"))
    answer = ask(client)
    assert answer.content == sandbox.requests[-1].answer
    assert proxy.rows.wait()[0].outcome == "error"


def test_client_that_leaves_is_not_punished(proxy: Proxy, sandbox: SandboxServer) -> None:
    sandbox.script("a", Reply(stall_after=6))
    with connect(proxy) as connection:
        connection.sendall(raw_request())
        connection.recv(1)
    sandbox.wait_for(lambda requests: requests[-1].disconnected)
    assert proxy.rows.wait()[0].outcome == "client_cancelled"
    assert not proxy.runtime.pool.account_state("anthropic:a").cooldowns


def test_client_that_leaves_between_the_rounds(proxy: Proxy, sandbox: SandboxServer) -> None:
    """Every account has failed and is to be tried once more after a pause: nobody waits for that any more."""
    sandbox.script("a", Reply(529))
    sandbox.script("b", Reply(529))
    with connect(proxy) as connection:
        connection.sendall(raw_request())
        sandbox.wait_for(lambda requests: requests[1].done)
    [row] = proxy.rows.wait()
    assert (row.outcome, row.attempts) == ("client_cancelled", 2)
    assert len(sandbox.requests) == 2


def test_total_limit(sandbox: SandboxServer, ahead: Ahead) -> None:
    sandbox.script("a", Reply(stall_after=0))
    sandbox.script("b", Reply(stall_after=0))
    pool = [account("a", sandbox.url), account("b", sandbox.url)]
    with Proxy(pool, timeouts(first_event=300, total=500)) as proxy:
        answer = ask_in_vain(proxy, sandbox, ahead, [300, 200])
        assert (answer.status_code, answer.json()["error"]["type"]) == (504, "timeout_error")
        assert [r.account for r in sandbox.requests] == ["a", "b"]


def test_model_in_row(client: httpx.Client, proxy: Proxy) -> None:
    ask(client)
    [row] = proxy.rows.wait()
    assert (row.model, row.stream, row.stopReason) == (MODEL, True, "end_turn")
    assert row.inputTokens
    assert row.outputTokens
