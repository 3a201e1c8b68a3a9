"""What upstream takes its time for, or does before its time."""

from __future__ import annotations

from queue import SimpleQueue

import httpx
import psutil

from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows import raw_upstream as raw
from tests.flows.ahead import Ahead
from tests.flows.harness import LIMIT, Proxy, account, connect, message, raw_request, timeouts
from tests.flows.raw_upstream import (
    BLOCK,
    END,
    HELLO,
    JSON,
    SSE,
    START,
    RawUpstream,
    answer,
    chunk,
    error,
    head,
    resets,
)


def test_the_answer_may_come_before_the_request_is_sent() -> None:
    """Upstream reads the head, refuses and resets: its answer counts, not the reset."""
    refusal = answer(error("request_too_large"), "413 Too Large", **JSON)
    with RawUpstream(resets(refusal), reads_body=False) as a, Proxy([account("a", a.url)]) as proxy:
        filler = [{"role": "user", "content": "x" * 8_000_000}]
        got = httpx.post(f"{proxy.url}/v1/messages", json=message(messages=filler), timeout=LIMIT)
        assert (got.status_code, got.json()["error"]["type"]) == (413, "request_too_large")


def test_a_stream_that_flows_is_not_cut_by_the_total(ahead: Ahead) -> None:
    """Nor by what is left of it for the first event; only by silence."""
    pieces: SimpleQueue[bytes] = SimpleQueue()
    limits = timeouts(first_event=20, idle=50, total=60)
    with RawUpstream(raw.fed(pieces)) as a, Proxy([account("a", a.url)], limits) as proxy:
        with connect(proxy) as connection:
            connection.sendall(raw_request())
            pieces.put(head(transfer_encoding="chunked", **SSE) + chunk(START + BLOCK + HELLO))
            got = b""
            for number in range(2, 12):
                while got.count(b"hello") < number - 1:
                    got += connection.recv(65536)
                ahead.pass_time(proxy, 40)
                pieces.put(chunk(HELLO))
            pieces.put(chunk(END) + b"0\r\n\r\n")
            while b"message_stop" not in got:
                got += connection.recv(65536)
        assert proxy.rows.wait()[0].outcome == "complete"


def test_a_whole_answer_that_flows_is_not_cut_by_the_first_event() -> None:
    limits = timeouts(first_event=2, idle=LIMIT, total=LIMIT)
    act = raw.paced(head(content_length="14", **JSON), *[b"[]"] * 7, pause=0.4)
    with RawUpstream(act) as a, Proxy([account("a", a.url)], limits) as proxy:
        got = httpx.get(f"{proxy.url}/v1/files/f/content", timeout=LIMIT, trust_env=False)
        assert (got.status_code, got.content) == (200, b"[]" * 7)
        assert len(a.requests) == 1


def test_a_proxy_on_the_way_can_not_fill_the_memory(sandbox: SandboxServer) -> None:
    """Its answer to CONNECT does not end."""
    with RawUpstream(raw.forever(b"x" * 65536, b"HTTP/1.1 200 OK\r\nx: ")) as way:
        accounts = [
            account("a", "https://upstream.test", proxy_url=way.url),
            account("b", sandbox.url),
        ]
        with Proxy(accounts, timeouts(connect=LIMIT)) as proxy:
            before = psutil.Process().memory_info().rss
            got = httpx.post(f"{proxy.url}/v1/messages", json=message(), timeout=LIMIT)
            assert got.headers["x-neurolink-account"] == "b"
            assert way.requests[0].startswith(b"CONNECT upstream.test:443 ")
            assert psutil.Process().memory_info().rss - before < 50 * 2**20
