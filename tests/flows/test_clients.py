"""What client keys allow, and whom requests are counted for, by the real proxy."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from neurolink_mitm.adapters.cost import Spending, shipped_prices
from neurolink_mitm.adapters.journal import encode
from neurolink_mitm.core.auth.client_keys import ClientKey, digest
from neurolink_mitm.core.logs.rows import RequestRow
from neurolink_mitm.ports import Runtime
from neurolink_mitm.records.row_reader import LoggedRequest, RowReader
from neurolink_mitm.records.stats import Stats
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.recorder import Received
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
from tests.flows.test_usage import told
from tests.waiting import wait_until

HAIKU = "claude-haiku-4-5"
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "say hi"}]}
RESPONSE = {"model": MODEL, "input": "say hi"}
EMBEDDINGS = {"model": "text-embedding-3-small", "input": "hi"}
COUNTED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/v1/messages", message()),
    ("/v1/messages", message(stream=False)),
    ("/v1/chat/completions", CHAT),
    ("/v1/chat/completions", {**CHAT, "stream": True}),
    ("/v1/responses", {**RESPONSE, "stream": True}),
    ("/v1/embeddings", EMBEDDINGS),
)


def key(name: str, **limits: Any) -> ClientKey:
    return ClientKey(name, digest(f"key of {name}"), 0.0, **limits)


CLIENTS = (
    key("free"),
    key("other"),
    key("capped", daily_cap_usd=0.000001),
    key("slow", rate=2),
    key("small", models=("claude-haiku-*",)),
)


@pytest.fixture
def proxy(sandbox: SandboxServer, tmp_path: Path) -> Iterator[Proxy]:
    def change(runtime: Runtime) -> None:
        runtime.prices, runtime.clients = shipped_prices(), CLIENTS
        runtime.spending = Spending(tmp_path / "spend.json", runtime.pool.budget)

    login = account("login", sandbox.url, token="sk-ant-oat-test-a")
    with Proxy([login, account("a", sandbox.url)], change=change) as proxy:
        yield proxy
    assert isinstance(proxy.runtime.spending, Spending)
    proxy.runtime.spending.close()


def ask(
    proxy: Proxy, client: str, path: str, body: Any = None, method: str = "POST", **headers: str
) -> httpx.Response:
    headers = {**CLAUDE_CODE, "x-api-key": f"key of {client}", **headers}
    return httpx.request(method, f"{proxy.url}{path}", json=body, headers=headers, timeout=LIMIT)


def test_a_cap_ends_what_costs_in_the_form_of_each_api(
    proxy: Proxy, sandbox: SandboxServer
) -> None:
    assert ask(proxy, "capped", *COUNTED[0]).status_code == 200
    proxy.rows.wait(1)
    count = len(sandbox.requests)
    for path, body in COUNTED:
        answer = ask(proxy, "capped", path, body)
        error = answer.json()["error"]
        kind = "billing_error" if path == "/v1/messages" else "insufficient_quota"
        assert (answer.status_code, error["type"]) == (429, kind), path
        assert error["message"].startswith("spend limit reached — the client 'capped' has used")
        assert answer.headers["x-should-retry"] == "false"
    assert ask(proxy, "capped", "/v1/messages/batches", {}).status_code == 400
    assert len(sandbox.requests) == count
    assert ask(proxy, "capped", "/v1/messages/count_tokens", message()).status_code == 200
    assert ask(proxy, "capped", "/v1/models", method="GET").status_code == 200
    assert ask(proxy, "free", *COUNTED[0]).status_code == 200
    refused = [row for row in proxy.rows.wait(10) if row.responseStatus == 429]
    assert {(row.client, row.account, row.costUsd) for row in refused} == {("capped", None, None)}


def test_a_rate_says_when_to_come_again(proxy: Proxy) -> None:
    answers = [ask(proxy, "slow", path, body) for path, body in (COUNTED[0], *COUNTED[:4])]
    assert [each.status_code for each in answers] == [200, 200, 429, 429, 429]
    assert answers[2].json()["error"]["type"] == "rate_limit_error"
    assert 1 <= int(answers[2].headers["retry-after"]) <= 30
    assert "x-should-retry" not in answers[2].headers
    assert ask(proxy, "free", *COUNTED[0]).status_code == 200


def test_models_are_those_of_the_client(proxy: Proxy, sandbox: SandboxServer) -> None:
    listed = ask(proxy, "small", "/v1/models", method="GET").json()["data"]
    assert listed
    assert all(each["id"].startswith("claude-haiku-") for each in listed)
    for path, body in (*COUNTED, ("/v1/messages/count_tokens", message())):
        answer = ask(proxy, "small", path, body)
        assert answer.status_code == 404, path
        assert "is not for the client 'small'" in answer.text
    version = {"anthropic-version": "2023-06-01"}
    for headers in ({}, version):
        answer = ask(proxy, "small", f"/v1/models/{MODEL}", method="GET", **headers)
        assert answer.status_code == 404
    assert sandbox.requests == []
    assert ask(proxy, "small", "/v1/messages", message(model=HAIKU)).status_code == 200
    assert ask(proxy, "small", f"/v1/models/{HAIKU}", method="GET").status_code == 200


# --- whom requests are counted for


def agent_headers(session: int, agent: int) -> dict[str, str]:
    """Of a session's main agent, which has no id, or of one of those below it."""
    named = {"x-claude-code-session-id": f"s{session}"}
    if agent:
        named |= {"x-claude-code-agent-id": f"s{session}a{agent}"}
    if agent > 1:
        named |= {"x-claude-code-parent-agent-id": f"s{session}a1"}
    return named


def by_agent(header: Callable[[str], str | None]) -> str:
    session = header("x-claude-code-session-id")
    return header("x-claude-code-agent-id") or f"main of {session}"


def counted(
    requests: list[Received], key_of: Callable[[Received], str]
) -> Counter[tuple[str, int]]:
    """The look-alike's own count: tokens by group and kind, of the answers it has begun."""
    sums: Counter[tuple[str, int]] = Counter()
    for each in requests:
        whole = each.answer.endswith((b"}", b"\n\n"))  # else it is cut, and goes to nobody
        for kind, tokens in enumerate(
            told(each.answer)[:4] if whole and each.status == 200 else ()
        ):
            sums[key_of(each), kind] += tokens or 0
    return +sums


def summed(rows: list[RequestRow], by: str) -> Counter[tuple[str, int]]:
    stats = Stats(by)
    stats.add(RowReader().read(map(encode, rows), LoggedRequest))
    sums: Counter[tuple[str, int]] = Counter()
    for name, group in stats.groups.items():
        kinds = group.input, group.output, group.cache_read, group.cache_creation
        sums.update({(name, kind): tokens for kind, tokens in enumerate(kinds)})
    return +sums


def test_sums_per_client_and_agent_are_the_look_alikes(
    proxy: Proxy, sandbox: SandboxServer
) -> None:
    """Streamed and whole, with accounts that fail over, streams that are cut, and clients that leave."""
    script = [Reply(), Reply(529), Reply(status=500), Reply(events=9, cut_after=7), Reply(events=3)]
    sandbox.script("a", *itertools.islice(itertools.cycle(script), 60))
    asked = list(itertools.product(("free", "other"), (1, 2), range(4), (True, False), (1, 40)))

    def send(client: str, session: int, agent: int, stream: bool, words: int) -> int:
        body = message(stream=stream, messages=[{"role": "user", "content": "word " * words}])
        named = {"x-neurolink-conversation-id": f"c{words}", "x-test-client": client}
        headers = {**agent_headers(session, agent), **named}
        return ask(proxy, client, "/v1/messages", body, **headers).status_code

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda each: send(*each), asked))
    rows = proxy.rows.wait(len(asked))
    sandbox.script("a", Reply(events=40, event_delay=0.05))
    left = {"x-api-key": "key of free", "x-test-client": "free", **agent_headers(1, 1)}
    with connect(proxy) as connection:
        connection.sendall(raw_request(**{name.replace("-", "_"): v for name, v in left.items()}))
        assert b"200 OK" in connection.recv(65536)
    rows = proxy.rows.wait(len(asked) + 1)
    assert rows[-1].outcome == "client_cancelled"
    wait_until(lambda: all(each.done for each in sandbox.requests), "upstream is done")

    assert {row.outcome for row in rows} >= {"complete", "truncated", "client_cancelled"}
    assert max(row.attempts for row in rows) > 1
    assert not [each for each in sandbox.requests if each.header("x-neurolink-conversation-id")]
    assert summed(rows, "agent") == counted(sandbox.requests, lambda each: by_agent(each.header))
    assert summed(rows, "client") == counted(
        sandbox.requests, lambda each: each.header("x-test-client") or ""
    )
    for by in ("session", "conversation", "user"):
        assert sum(summed(rows, by).values()) == sum(summed(rows, "agent").values())
