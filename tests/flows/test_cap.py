"""What `routing.daily-cap-usd` lets through, by the real proxy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from neurolink_mitm.adapters.cost import Spending, shipped_prices
from neurolink_mitm.core.settings.values import Config, Routing
from neurolink_mitm.ports import Runtime
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows.harness import (
    CLAUDE_CODE,
    LIMIT,
    MODEL,
    Proxy,
    account,
    connect,
    message,
    raw_request,
)
from tests.waiting import wait_until

WORDS = "word " * 80_000
"""About 100,000 tokens."""


@contextmanager
def capped(sandbox: SandboxServer, cap: float | None, folder: Path) -> Iterator[Proxy]:
    def change(runtime: Runtime) -> None:
        runtime.prices = shipped_prices()
        runtime.spending = Spending(folder / "spend.json", runtime.pool.budget)

    config = Config(routing=Routing(daily_cap_usd=cap))
    with Proxy([account("a", sandbox.url)], config, change=change) as proxy:
        yield proxy
    assert isinstance(proxy.runtime.spending, Spending)
    proxy.runtime.spending.close()


@pytest.fixture
def proxy(sandbox: SandboxServer, tmp_path: Path) -> Iterator[Proxy]:
    """With next to nothing left to spend."""
    with capped(sandbox, 0.0001, tmp_path) as proxy:
        yield proxy


UNMETERED = (
    ("POST", "/v1/messages/batches"),
    ("POST", "/v1/messages/batches?beta=true"),
    ("POST", "/v1/messages/batches/"),
    ("PUT", "/v1/messages/batches"),
    ("PATCH", "/v1/messages/batches/b_1"),
    ("POST", "/v1/messages/batches/b_1/results"),
    ("post", "/v1/messages/batches"),
    ("POST", "/v1/complete"),
    ("POST", "/v1/experimental/generate_prompt"),
    ("POST", "/v1/sessions"),
)
FREE = (
    ("POST", "/v1/messages/count_tokens"),
    ("GET", "/v1/messages/batches/b_1/results"),
    ("POST", "/v1/messages/batches/b_1/cancel"),
    ("DELETE", "/v1/messages/batches/b_1"),
    ("POST", "/v1/files"),
)


def ask(proxy: Proxy, method: str, path: str, **fields: Any) -> httpx.Response:
    body = message(stream=False, **fields)
    return httpx.request(
        method, f"{proxy.url}{path}", json=body, headers=CLAUDE_CODE, timeout=LIMIT
    )


def test_only_what_is_counted_or_free(proxy: Proxy, sandbox: SandboxServer, tmp_path: Path) -> None:
    """A batch's results come later, or elsewhere: it is refused, whatever its path looks like."""
    for method, path in UNMETERED:
        answer = ask(proxy, method, path)
        assert answer.status_code == 400, path
        assert "routing.daily-cap-usd" in answer.text, path
    assert sandbox.requests == []
    assert "can't be counted" in proxy.rows.wait(len(UNMETERED))[0].why
    for method, path in FREE:
        assert ask(proxy, method, path).status_code == 200, path
    assert len(sandbox.requests) == len(FREE)
    with capped(sandbox, None, tmp_path) as open_proxy:
        assert ask(open_proxy, *UNMETERED[0]).status_code == 200


CHAT = {"model": MODEL, "messages": [{"role": "user", "content": WORDS}]}
RESPONSE = {"model": MODEL, "input": WORDS}
COUNTED = (
    ("/v1/chat/completions", CHAT),
    ("/v1/chat/completions", {**CHAT, "stream": True}),
    ("/v1/responses", RESPONSE),
    ("/v1/responses", {**RESPONSE, "stream": True}),
)


@pytest.mark.parametrize(
    ("path", "body"), COUNTED, ids=["chat", "chat-stream", "responses", "responses-stream"]
)
def test_what_other_tools_ask_is_counted_once_and_stopped(
    proxy: Proxy, sandbox: SandboxServer, path: str, body: dict[str, Any]
) -> None:
    answers = [httpx.post(f"{proxy.url}{path}", json=body, timeout=LIMIT) for _ in range(5)]
    assert [each.status_code for each in answers] == [200, 429, 429, 429, 429]
    assert "routing.daily-cap-usd is reached" in answers[1].json()["error"]["message"]
    assert len(sandbox.requests) == 1
    served = proxy.rows.wait(5)[0]
    prompt = (served.inputTokens, served.cacheCreationTokens, served.cacheReadTokens)
    assert sum(tokens or 0 for tokens in prompt) > 90_000
    assert proxy.runtime.pool.budget.spent == pytest.approx(served.costUsd)


def test_what_other_tools_leave_is_estimated(proxy: Proxy, sandbox: SandboxServer) -> None:
    """Its stream is paid for by Anthropic, whether somebody reads its end or not."""
    sandbox.script("a", Reply(stall_after=0))
    body = httpx.Request("POST", "http://x", json=CHAT).content
    with connect(proxy) as connection:
        connection.sendall(raw_request(body, "/v1/chat/completions"))
        wait_until(lambda: len(sandbox.requests) == 1, "a request upstream")
    [row] = proxy.rows.wait()
    assert (row.outcome, row.api) == ("client_cancelled", "openai-chat")
    price = shipped_prices().of("anthropic", MODEL)
    assert price
    prompt = len(body) / 4 * price.input / 1e6
    assert proxy.runtime.pool.budget.spent == pytest.approx(prompt, rel=0.01)
