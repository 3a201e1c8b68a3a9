"""What a row says of an answer's tokens, times and cost: to the token, however the answer ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from mitmproxy import http

from neurolink_mitm.adapters.cost import shipped_prices
from neurolink_mitm.core.exchange import Exchange
from neurolink_mitm.core.logs.rows import RequestRow
from neurolink_mitm.core.response.reader import EventStreamReader
from neurolink_mitm.dataplane.hooks import exchange_of
from neurolink_mitm.ports import Runtime
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.stack import stack
from tests.flows.harness import LIMIT, MODEL, Proxy, account, connect, events, message, raw_request
from tests.waiting import wait_until

CACHED: dict[str, Any] = {
    "system": [
        {
            "type": "text",
            "text": "be brief " * 100,
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        }
    ]
}
"""The sandbox says that a tenth of it is written to the cache for an hour, and most comes from there."""


@pytest.fixture
def proxy(sandbox: SandboxServer) -> Iterator[Proxy]:
    def change(runtime: Runtime) -> None:
        runtime.prices = shipped_prices()

    with Proxy([account("a", sandbox.url)], change=change) as proxy:
        yield proxy


def ask(proxy: Proxy, **fields: Any) -> httpx.Response:
    return httpx.post(f"{proxy.url}/v1/messages", json=message(**fields), timeout=LIMIT)


def tokens(row: RequestRow) -> tuple[int | None, ...]:
    return (
        row.inputTokens, row.outputTokens, row.cacheReadTokens, row.cacheCreationTokens,
        row.cacheCreation1hTokens,
    )  # fmt: skip


def told(sent: bytes) -> tuple[int | None, ...]:
    """What upstream has said last of each kind, in a stream or a whole answer."""
    usage: dict[str, Any] = {}
    if sent.startswith(b"{"):
        usage = json.loads(sent)["usage"]
    else:
        for _, data in events(sent):
            usage |= data.get("message", data).get("usage", {})
    return (
        usage["input_tokens"], usage["output_tokens"], usage["cache_read_input_tokens"],
        usage["cache_creation_input_tokens"], usage["cache_creation"]["ephemeral_1h_input_tokens"],
    )  # fmt: skip


def cost(row: RequestRow) -> float:
    """USD, by the list prices."""
    price = shipped_prices().of("anthropic", MODEL)
    assert price
    assert row.cacheCreationTokens == row.cacheCreation1hTokens
    parts = zip(
        tokens(row)[:4],
        (price.input, price.output, price.cache_read, price.cache_write_1h),
        strict=True,
    )
    return sum((count or 0) * usd for count, usd in parts) / 1_000_000


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_whole_answer(proxy: Proxy, sandbox: SandboxServer, stream: bool) -> None:
    sandbox.script("a", Reply(event_delay=0.01))
    ask(proxy, stream=stream, **CACHED)
    [row] = proxy.rows.wait()
    assert tokens(row) == told(sandbox.requests[-1].answer)
    assert all(tokens(row)), "there is something of each kind"
    assert row.costUsd == pytest.approx(cost(row))
    assert (row.outcome, row.stopReason) == ("complete", "end_turn")
    assert row.ttfbMs is not None
    assert 0 < row.ttfbMs <= row.responseTimeMs


@pytest.mark.parametrize("cut_after", [6, 20], ids=["in-the-text", "after-the-last-tokens"])
def test_an_answer_that_is_cut(proxy: Proxy, sandbox: SandboxServer, cut_after: int) -> None:
    sandbox.script("a", Reply(events=15, cut_after=cut_after))
    ask(proxy, **CACHED)
    [row] = proxy.rows.wait()
    assert row.outcome == "truncated"
    assert tokens(row) == told(sandbox.requests[-1].answer)
    assert row.costUsd == pytest.approx(cost(row))
    assert row.stopReason == (None if cut_after == 6 else "end_turn")


def test_an_answer_that_its_client_leaves(proxy: Proxy, sandbox: SandboxServer) -> None:
    sandbox.script("a", Reply(stall_after=6))
    with connect(proxy) as connection:
        connection.sendall(raw_request(json.dumps(message(**CACHED)).encode()))
        received = b""
        while b"text_delta" not in received:
            received += connection.recv(65536)
    [row] = proxy.rows.wait()
    assert row.outcome == "client_cancelled"
    assert tokens(row) == told(sandbox.requests[-1].answer)
    assert row.costUsd == pytest.approx(cost(row))


def test_searches_of_server_tools(proxy: Proxy, sandbox: SandboxServer) -> None:
    """As of https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool#streaming."""
    start = {"type": "message_start", "message": {"model": MODEL, "usage": {"input_tokens": 2679}}}
    block = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    opened = {"type": "content_block_start", "index": 0, "content_block": block}
    usage = {
        "input_tokens": 10682,
        "output_tokens": 510,
        "server_tool_use": {"web_search_requests": 3},
    }
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
    said = (
        start,
        opened,
        {"type": "content_block_stop", "index": 0},
        end,
        {"type": "message_stop"},
    )
    body = "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in said)
    sandbox.script("a", Reply(body=body.encode(), content_type="text/event-stream"))
    ask(proxy)
    [row] = proxy.rows.wait()
    assert (row.webSearchRequests, row.inputTokens, row.outputTokens) == (3, 10682, 510)
    assert row.costUsd == pytest.approx((10682 * 3 + 510 * 15) / 1_000_000 + 0.03)


def test_tokens_of_an_attempt_that_failed_unseen_are_not_the_requests(
    sandbox: SandboxServer,
) -> None:
    sandbox.script("a", Reply(cut_after=1))  # behind message_start, which tells tokens
    sandbox.script("b", Reply(stall_after=0))
    with Proxy([account("a", sandbox.url), account("b", sandbox.url)]) as proxy:
        with connect(proxy) as connection:
            connection.sendall(raw_request())
            sandbox.wait_for(lambda requests: requests[-1].account == "b")
        [row] = proxy.rows.wait()
    assert (row.account, row.attempts, row.outcome) == ("b", 2, "client_cancelled")
    assert tokens(row) == (None,) * 5


class Watch:
    """Keeps the record of a request that is under way."""

    exchange: Exchange | None = None

    def attempt(self, flow: http.HTTPFlow) -> None:
        self.exchange = exchange_of(flow)

    @property
    def heard(self) -> bool:
        """Whether the first event has come."""
        answer = self.exchange.reader if self.exchange else None
        return (
            isinstance(answer, EventStreamReader) and answer.started
        )  # before its head it is another


def test_a_client_that_leaves_before_any_content_was_answered_all_the_same(
    sandbox: SandboxServer,
) -> None:
    """The tokens of its prompt are spent, and Anthropic's name for it is what support asks for."""
    sandbox.script("a", Reply(stall_after=1))
    watch = Watch()
    pool = [account("a", sandbox.url)]
    with Proxy(pool, addons=lambda runtime: [*stack(runtime), watch]) as proxy:
        with connect(proxy) as connection:
            connection.sendall(raw_request(json.dumps(message(**CACHED)).encode()))
            wait_until(lambda: watch.heard, "the first event has come")
        [row] = proxy.rows.wait()
        [attempt] = proxy.rows.attempts
    assert row.outcome == "client_cancelled"
    assert tokens(row) == told(sandbox.requests[-1].answer)
    assert attempt.upstreamRequestId == sandbox.requests[-1].request_id


def test_a_move_to_another_account_costs_what_its_cache_has_not(sandbox: SandboxServer) -> None:
    """To the token: what the first account has read and written, less what the second one could read."""
    limited = Reply(429, headers={"retry-after": "30"})
    sandbox.script("a", Reply(), limited)
    session = {"x-claude-code-session-id": "s"}
    with Proxy([account("a", sandbox.url), account("b", sandbox.url)]) as proxy:
        for _ in range(3):
            httpx.post(f"{proxy.url}/v1/messages", json=message(**CACHED), headers=session)
        rows = proxy.rows.wait(3)
    assert [row.account for row in rows] == ["a", "b", "b"]
    on_a, on_b, *_ = rows
    had = (on_a.cacheReadTokens or 0) + (on_a.cacheCreationTokens or 0)
    again = min(on_b.cacheCreationTokens or 0, had - (on_b.cacheReadTokens or 0))
    assert again > 0
    assert [row.movedCacheTokens for row in rows] == [None, again, None]
