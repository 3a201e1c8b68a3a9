"""Many requests at once: on an account that takes over, and while a subscription is probed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import httpx
import pytest

from neurolink_mitm.core.pool.ramp import FIRST
from neurolink_mitm.sandbox import Account, Reply
from neurolink_mitm.sandbox.recorder import Received
from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows.harness import CLAUDE_CODE, LIMIT, Proxy, account, message

MANY = 12


@pytest.fixture
def plans() -> Iterator[SandboxServer]:
    """Upstream, with the subscriptions a and b, and the API key k."""
    logins = [Account(name, f"sk-ant-oat-{name}", "oauth") for name in "ab"]
    with SandboxServer([*logins, Account("k", "sk-ant-test-k")]) as server:
        yield server


def ask(proxy: Proxy, session: str) -> httpx.Response:
    headers = CLAUDE_CODE | {"x-claude-code-session-id": session}
    return httpx.post(f"{proxy.url}/v1/messages", json=message(), headers=headers, timeout=LIMIT)


def served(proxy: Proxy, count: int) -> Counter[str]:
    """The accounts that have served `count` requests that came at once."""
    with ThreadPoolExecutor(count) as threads:
        answers = list(threads.map(lambda n: ask(proxy, f"s{n}"), range(count)))
    assert {answer.status_code for answer in answers} == {200}
    return Counter(answer.headers["x-neurolink-account"] for answer in answers)


def most_at_once(requests: list[Received]) -> int:
    """How many of the requests waited for their answer at the same time."""
    begins = [(request.time, 1) for request in requests]
    ends = [(request.sent[0][0], -1) for request in requests]
    return max(accumulate(step for _, step in sorted(begins + ends)))


def test_requests_that_move_do_not_storm_the_fresh_account(plans: SandboxServer) -> None:
    plans.script("a", Reply(429, delay=0.1, headers={"retry-after": "60"}))
    plans.script("b", Reply(delay=0.1))
    pool = [account(name, plans.url, token=f"sk-ant-oat-{name}") for name in "ab"]
    with Proxy(pool) as proxy:
        assert served(proxy, MANY) == {"b": MANY}
        rows = proxy.rows.wait(MANY)
    moved = [request for request in plans.requests if request.account == "b"]
    assert sorted(request.time for request in moved)[FIRST] > min(r.sent[0][0] for r in moved)
    assert most_at_once(moved) < MANY
    assert sum("its turn on anthropic:b" in row.why for row in rows) == 0  # it is served after all


def test_nobody_pays_while_a_subscription_is_probed(plans: SandboxServer) -> None:
    limited = Reply(429, headers={"retry-after": "30"})
    plans.script("a", limited, Reply(delay=0.3), Reply())
    pool = [account("a", plans.url, token="sk-ant-oat-a"), account("k", plans.url)]
    with Proxy(pool) as proxy:
        assert served(proxy, 1) == {"k": 1}
        proxy.runtime.pool.clock_moved(-31)  # as if it had cooled
        assert served(proxy, 5) == {"a": 5}
