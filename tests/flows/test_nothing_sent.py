"""Requests that end before anything went upstream: they cost nothing, and are no account's."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from mitmproxy import http

from neurolink_mitm.adapters.cost import shipped_prices
from neurolink_mitm.core.exchange import Reply as Refusal
from neurolink_mitm.core.settings import shaping
from neurolink_mitm.core.settings.shaping import Cloaking, Plugins
from neurolink_mitm.core.settings.values import Config, Routing
from neurolink_mitm.dataplane.hooks import error_response, exchange_of
from neurolink_mitm.ports import Runtime
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.stack import stack
from tests.flows.harness import CLAUDE_CODE, LIMIT, Proxy, account, connect, message, raw_request
from tests.waiting import wait_until

BIG = message(stream=False, system="x" * 1_000_000)
HIDING = Plugins(word_obfuscator=shaping.WordObfuscator(True, ("bluebird",)))
CAPPED = Routing(daily_cap_usd=1.0)
SHAPED = Config(routing=CAPPED, cloaking=Cloaking("always", HIDING))
PLAIN = Config(routing=CAPPED)


@dataclass
class Money:
    """Adds up what is booked."""

    usd: float = 0.0

    def add(self, usd: float, now: float) -> None:
        self.usd += usd


@dataclass
class Last:
    """An addon behind ours that does something to the attempt number `number`."""

    act: Callable[[http.HTTPFlow], Any]
    number: int = 1

    def attempt(self, flow: http.HTTPFlow) -> Any:
        exchange = exchange_of(flow)
        assert exchange
        assert exchange.attempt
        return self.act(flow) if exchange.attempt.number == self.number else None


class Broken:
    """A plugin that fails."""

    def rewrite(self, draft: object) -> object:
        raise ValueError("it broke")


def answers(flow: http.HTTPFlow) -> None:
    flow.response = error_response(Refusal(403, "permission_error", "not here"))


def moves(flow: http.HTTPFlow) -> None:
    flow.request.path = "/v1/../x"


def kills(flow: http.HTTPFlow) -> None:
    flow.kill()


async def waits(flow: http.HTTPFlow) -> None:
    """Until the client has left."""
    async with asyncio.timeout(LIMIT):
        while flow.client_conn.connected:  # noqa: ASYNC110 - mitmproxy tells nobody of it
            await asyncio.sleep(0.01)


@dataclass
class Case:
    """A proxy whose money and console are looked at."""

    proxy: Proxy
    money: Money

    def ask(self, path: str = "/v1/messages", body: bytes | None = None) -> httpx.Response | None:
        """What is answered; None where the connection is closed instead."""
        body = body or json.dumps(BIG).encode()
        try:
            return httpx.post(
                self.proxy.url + path, content=body, headers=CLAUDE_CODE, timeout=LIMIT
            )
        except httpx.RemoteProtocolError:
            return None

    def assert_nothing_was_sent(self, outcome: str) -> None:
        """It is no attempt, nobody's, and free."""
        [row] = self.proxy.rows.wait()
        pool = self.proxy.runtime.pool
        assert "anthropic:" not in row.why
        used = [pool.account_state(each.key) for each in pool.accounts]
        assert (row.account, row.provider, row.attempts, row.costUsd) == (None, None, 0, None)
        assert (row.outcome, self.proxy.rows.attempts, self.money.usd) == (outcome, [], 0)
        assert [(each.in_flight, each.tally.attempts) for each in used] == [(0, 0)] * len(used)
        assert self.proxy.runtime.totals.attempts == 0


@contextmanager
def proxied(
    url: str,
    config: Config = PLAIN,
    *,
    labels: str = "a",
    addon: object = None,
    first: bool = False,
    plugin: object = None,
    change: Callable[[Runtime], None] = lambda runtime: None,
) -> Iterator[Case]:
    """A proxy with `addon` behind its own addons, or before them if it is `first`."""
    money = Money()

    def addons(runtime: Runtime) -> list[object]:
        ours = stack(runtime)
        return ours if addon is None else [addon, *ours] if first else [*ours, addon]

    def prepare(runtime: Runtime) -> None:
        runtime.spending, runtime.prices = money, shipped_prices()  # type: ignore[assignment]
        change(runtime)

    pool = [account(label, url) for label in labels]
    plugins = [("theirs", plugin)] if plugin else []
    with Proxy(pool, config, addons=addons, plugins=plugins, change=prepare) as proxy:  # type: ignore[arg-type]
        yield Case(proxy, money)


REFUSED = {
    "shaping": (400, {"config": SHAPED, "path": "/v1/messages?note=bluebird"}),
    "shaping-of-counting": (
        400, {"config": SHAPED, "path": "/v1/messages/count_tokens?note=bluebird"},
    ),
    "plugin": (500, {"config": Config(routing=CAPPED, cloaking=Cloaking("always")), "plugin": Broken()}),
    "path-changed": (404, {"addon": Last(moves), "first": True}),
    "answered-by-an-addon": (403, {"addon": Last(answers)}),
    "no-account": (401, {"labels": ""}),
    "no-model": (400, {"body": b"{}"}),
    "killed": (None, {"addon": Last(kills)}),
}  # fmt: skip


@pytest.mark.parametrize(("status", "how"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_here(
    sandbox: SandboxServer,
    caplog: pytest.LogCaptureFixture,
    status: int | None,
    how: dict[str, Any],
) -> None:
    caplog.set_level(logging.INFO, "neurolink.proxy")
    path, body = how.pop("path", "/v1/messages"), how.pop("body", None)
    with proxied(sandbox.url, **how) as case:
        answer = case.ask(path, body)
        assert (answer and answer.status_code) == status
        assert not answer or not {"x-neurolink-account", "x-neurolink-attempts"} & {*answer.headers}
        case.assert_nothing_was_sent("error" if answer else "client_cancelled")
    assert sandbox.requests == []
    assert not [line for line in caplog.messages if "<-" in line and "account=" in line]


@pytest.mark.parametrize(
    "how",
    [{"addon": Last(waits), "first": True}, {"addon": Last(waits)}, {"url": "silent"}],
    ids=["before-an-account-is-chosen", "in-an-addon", "connecting"],
)
def test_whose_client_leaves(
    sandbox: SandboxServer, silent_address: str, how: dict[str, Any]
) -> None:
    url = silent_address if how.pop("url", None) else sandbox.url
    with proxied(url, **how) as case:
        with connect(case.proxy) as connection:
            connection.sendall(raw_request(json.dumps(BIG).encode()))
            wait_until(lambda: case.proxy.busy == 1, "the request is under way")
        case.assert_nothing_was_sent("client_cancelled")
    assert sandbox.requests == []


def test_what_breaks_is_not_sent(sandbox: SandboxServer) -> None:
    """An exception in one of our own addons: the request never becomes ready."""

    def broken(runtime: Runtime) -> None:
        runtime.proxies = None  # type: ignore[assignment]

    with proxied(sandbox.url, change=broken) as case:
        answer = case.ask()
        assert answer
        assert answer.status_code == 500
        case.assert_nothing_was_sent("error")
    assert sandbox.requests == []


def test_an_upstream_that_can_not_be_reached() -> None:
    """It was tried: there is a row that says why it failed, and nothing to pay."""
    with proxied("http://127.0.0.1:1") as case:
        answer = case.ask()
        [row] = case.proxy.rows.wait()
        errors = {each.errorType for each in case.proxy.rows.attempts}
    assert answer
    assert (answer.status_code, errors, case.money.usd) == (502, {"connect_error"}, 0)
    assert row.costUsd is None


def test_what_is_refused_after_an_attempt_that_failed(sandbox: SandboxServer) -> None:
    """The first attempt is all there was."""
    sandbox.script("a", Reply(529))
    with proxied(sandbox.url, labels="ab", addon=Last(answers, number=2)) as case:
        answer = case.ask()
        [row] = case.proxy.rows.wait()
    assert answer
    assert (answer.status_code, answer.headers["x-neurolink-attempts"]) == (403, "1")
    assert [(row.account, row.errorType) for row in case.proxy.rows.attempts] == [
        ("a", "overloaded_error")
    ]
    assert (row.account, row.attempts, row.inputTokens, case.money.usd) == ("a", 1, None, 0)


@pytest.mark.parametrize(
    "stall_after",
    [0, "head", 1, 3],
    ids=["no-head", "no-event", "held", "content"],
)
def test_an_attempt_that_its_client_leaves_says_so(
    sandbox: SandboxServer, stall_after: Any
) -> None:
    """Upstream has it, and will want to be paid for the prompt."""
    sandbox.script("a", Reply(stall_after=stall_after))
    with proxied(sandbox.url) as case:
        with connect(case.proxy) as connection:
            connection.sendall(raw_request(json.dumps(BIG | {"stream": True}).encode()))
            sandbox.wait_for(lambda requests: len(requests) == 1)
        [row] = case.proxy.rows.wait()
        [attempt] = case.proxy.rows.attempts
    assert (row.account, row.attempts, row.outcome) == ("a", 1, "client_cancelled")
    assert (attempt.account, attempt.errorType) == ("a", "client_cancelled")
    assert case.money.usd > 0
