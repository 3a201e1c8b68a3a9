"""What upstream takes its time for, or does before its time."""

from __future__ import annotations

import httpx
import psutil

from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows import raw_upstream as raw
from tests.flows.harness import LIMIT, Proxy, account, message, timeouts
from tests.flows.raw_upstream import (
    JSON,
    RawUpstream,
    answer,
    error,
    resets,
)


def test_the_answer_may_come_before_the_request_is_sent() -> None:
    """Upstream reads the head, refuses and resets: its answer counts, not the reset."""
    refusal = answer(error("request_too_large"), "413 Too Large", **JSON)
    with RawUpstream(resets(refusal), reads_body=False) as a, Proxy([account("a", a.url)]) as proxy:
        filler = [{"role": "user", "content": "x" * 8_000_000}]
        got = httpx.post(f"{proxy.url}/v1/messages", json=message(messages=filler), timeout=LIMIT)
        assert (got.status_code, got.json()["error"]["type"]) == (413, "request_too_large")


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
