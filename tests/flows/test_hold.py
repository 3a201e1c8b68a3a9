"""Requests that wait for an account, through the real proxy: what the client gets, and what upstream sees."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from neurolink_mitm.adapters.system import SystemClock
from neurolink_mitm.core.auth import client_keys
from neurolink_mitm.core.failover.waiting import WaitingRoom
from neurolink_mitm.core.pool.cooldown import Cooldown
from neurolink_mitm.core.settings.values import Config, Routing
from neurolink_mitm.ports import Runtime
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows.harness import (
    CLAUDE_CODE,
    LIMIT,
    Proxy,
    account,
    connect,
    message,
    raw_request,
)
from tests.waiting import wait_until


def limited(seconds: float) -> Reply:
    return Reply(429, headers={"retry-after": str(seconds)})


class Asking(threading.Thread):
    """A client that asks once, beside the test; `status` is there once it was joined."""

    def __init__(self, proxy: Proxy, path: str = "/v1/messages", **fields: Any) -> None:
        super().__init__(daemon=True)
        self._url = proxy.url + path
        self._headers = CLAUDE_CODE | fields.pop("headers", {})
        self._body = {k: v for k, v in message(**fields).items() if v is not None}
        self.start()

    def run(self) -> None:
        began = time.monotonic()
        answer = httpx.post(self._url, json=self._body, headers=self._headers, timeout=LIMIT)
        self.status, self.headers, self.text = answer.status_code, answer.headers, answer.text
        self.seconds = time.monotonic() - began

    def answer(self) -> int:
        self.join(LIMIT)
        assert not self.is_alive(), "no answer has come"
        return self.status


@contextmanager
def holding(sandbox: SandboxServer, hold: float = 60.0, **settings: Any) -> Iterator[Proxy]:
    config = Config(routing=Routing(hold=hold))
    with Proxy([account("a", sandbox.url)], config=config, **settings) as proxy:
        yield proxy


def held(proxy: Proxy) -> int:
    return len(proxy.runtime.waiting.held)


def on_the_loop(proxy: Proxy, change: Callable[[], object]) -> None:
    proxy.loop.call_soon_threadsafe(change)


def test_a_request_waits_until_its_account_is_back(sandbox: SandboxServer) -> None:
    sandbox.script("a", limited(1), Reply())
    with holding(sandbox) as proxy:
        asking = Asking(proxy)
        assert asking.answer() == 200
        [row] = proxy.rows.wait()
    assert 1.0 <= asking.seconds < 3
    assert 800 < row.heldMs < 3000
    assert (row.attempts, row.why.split(";")[1]) == (2, " took anthropic:a by fill-first")


def end_cooldown(proxy: Proxy, label: str = "a", after: float = 0.0) -> None:
    """Let time pass for this account, but for so many seconds."""
    pool, key = proxy.runtime.pool, f"anthropic:{label}"

    def end() -> None:
        cooldowns = pool.account_state(key).cooldowns
        until = proxy.clock.now() + after
        cooldowns.update({s: replace(each, until=until) for s, each in cooldowns.items()})
        pool.configure(pool.strategy, affinity=True, primary=None)

    on_the_loop(proxy, end)


def crowd(proxy: Proxy, count: int, **fields: Any) -> list[Asking]:
    """So many clients that are all held, in this order."""
    before, clients = held(proxy), []
    for number in range(1, count + 1):
        clients.append(Asking(proxy, **fields))
        wait_until(lambda n=number: held(proxy) == before + n, "it is held")  # type: ignore[misc]
    return clients


def test_upstream_sees_one_probe(sandbox: SandboxServer) -> None:
    """Of many that wait, the first goes on; the others follow its success."""
    sandbox.script("a", limited(30), Reply(delay=1), Reply())
    with holding(sandbox) as proxy:
        clients = crowd(proxy, 8)
        end_cooldown(proxy)
        sandbox.wait_for(lambda requests: len(requests) == 2)
        assert held(proxy) == 7
        assert [each.answer() for each in clients] == [200] * 8
        rows = proxy.rows.wait(8)
    assert len(sandbox.requests) == 9
    assert rows[0].attempts == 2, "the first to be held was the probe"


def test_a_probe_that_fails_is_held_again_and_the_others_stay(sandbox: SandboxServer) -> None:
    sandbox.script("a", limited(20), limited(20), Reply())
    with holding(sandbox) as proxy:
        clients = crowd(proxy, 3)
        end_cooldown(proxy)
        sandbox.wait_for(lambda requests: len(requests) == 2)
        wait_until(lambda: held(proxy) == 3, "it is held again")
        report = httpx.get(f"{proxy.url}/status", timeout=LIMIT).json()
        end_cooldown(proxy)
        assert [each.answer() for each in clients] == [200] * 3
        rows = proxy.rows.wait(3)
    assert [each["account"] for each in report["held"]] == ["anthropic:a"] * 3
    assert report["requestsHeld"] == 3
    assert [row.attempts for row in rows if row.attempts > 1] == [3]


@pytest.mark.parametrize(
    "change",
    [
        lambda pool: pool.reset("anthropic:a"),
        lambda pool: pool.update([replace(pool.accounts[0], secret=pool.accounts[1].secret)]),
        lambda pool: pool.update([replace(each, enabled=True) for each in pool.accounts]),
    ],
    ids=["reset", "login", "reload"],
)
def test_what_helps_is_noticed_at_once(sandbox: SandboxServer, change: Any) -> None:
    sandbox.script("a", limited(30), Reply())
    pool = [account("a", sandbox.url), account("b", sandbox.url, enabled=False)]
    with Proxy(pool, config=Config(routing=Routing(hold=60))) as proxy:
        asking = Asking(proxy)
        wait_until(lambda: held(proxy), "it is held")
        on_the_loop(proxy, lambda: change(proxy.runtime.pool))
        began = time.monotonic()
        assert asking.answer() == 200
    assert time.monotonic() - began < 2


def test_a_client_that_leaves_frees_its_place_and_nothing_is_sent(sandbox: SandboxServer) -> None:
    sandbox.script("a", limited(30))
    with holding(sandbox) as proxy:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{proxy.url}/v1/messages", json=message(), headers=CLAUDE_CODE, timeout=0.5)
        [row] = proxy.rows.wait()
        assert not proxy.runtime.waiting
        assert proxy.busy == 0
        on_the_loop(proxy, lambda: proxy.runtime.pool.reset("anthropic:a"))
    assert row.outcome == "client_cancelled"
    assert 300 < row.heldMs < 5000
    assert len(sandbox.requests) == 1


def test_one_that_would_wait_too_long_is_refused_at_once(sandbox: SandboxServer) -> None:
    sandbox.script("a", limited(30))
    with holding(sandbox, hold=29) as proxy:
        asking = Asking(proxy)
        assert asking.answer() == 429
        [row] = proxy.rows.wait()
    assert (asking.headers["retry-after"], row.heldMs) == ("30", 0)


def test_a_stop_answers_those_that_are_held(sandbox: SandboxServer) -> None:
    sandbox.script("a", limited(30))
    with holding(sandbox, drain=20) as proxy:
        asking = Asking(proxy)
        wait_until(lambda: held(proxy), "it is held")
        began = time.monotonic()
        proxy.master.shutdown()
        assert asking.answer() == 529
    assert time.monotonic() - began < 5


def test_nobody_is_held_without_the_setting(sandbox: SandboxServer) -> None:
    sandbox.script("a", limited(2))
    with holding(sandbox, hold=0) as proxy:
        asking = Asking(proxy, headers={"x-neurolink-hold": "900"})
        assert asking.answer() == 429
    assert asking.headers["retry-after"] == "2"


@pytest.mark.parametrize(
    ("asked", "status"),
    [("0", 429), ("5", 429), ("1e9", 200), ("-5", 200), ("5, 5", 200), ("99999", 200)],
)
def test_a_header_may_ask_for_another_time(sandbox: SandboxServer, asked: str, status: int) -> None:
    """What is no number is ignored; more than `routing.hold` is that."""
    sandbox.script("a", limited(30), Reply())
    with holding(sandbox) as proxy:
        asking = Asking(proxy, headers={"x-neurolink-hold": asked})
        if status == 200:
            wait_until(lambda: held(proxy), "it is held")
            on_the_loop(proxy, lambda: proxy.runtime.pool.reset("anthropic:a"))
        assert asking.answer() == status
    assert "x-neurolink-hold" not in sandbox.requests[-1].headers


def test_a_client_key_may_have_another_time(sandbox: SandboxServer) -> None:
    sandbox.script("a", limited(30), Reply())
    keys = [client_keys.ClientKey(name, client_keys.digest(name), 0.0, hold=seconds)
            for name, seconds in (("patient", 60), ("hasty", 0))]  # fmt: skip

    def change(runtime: Runtime) -> None:
        runtime.clients = tuple(keys)

    with holding(sandbox, hold=5, change=change) as proxy:
        assert Asking(proxy, headers={"x-api-key": "hasty"}).answer() == 429
        patient = Asking(proxy, headers={"x-api-key": "patient"})
        wait_until(lambda: held(proxy), "it is held")
        on_the_loop(proxy, lambda: proxy.runtime.pool.reset("anthropic:a"))
        assert patient.answer() == 200


@pytest.mark.parametrize("bound", [{"most": 2}, {"most_bytes": 500}], ids=["requests", "bytes"])
def test_there_is_room_for_so_many(sandbox: SandboxServer, bound: dict[str, int]) -> None:
    """The next one gets its 429, and one more is held once one has gone."""
    sandbox.script("a", limited(30), Reply())
    text = [{"role": "user", "content": "x" * 90}]

    def change(runtime: Runtime) -> None:
        runtime.waiting = WaitingRoom(**bound)

    with holding(sandbox, change=change) as proxy:
        clients = crowd(proxy, 2, messages=text)
        assert Asking(proxy, messages=text).answer() == 429
        assert held(proxy) == 2
        on_the_loop(proxy, lambda: proxy.runtime.pool.reset("anthropic:a"))
        assert [each.answer() for each in clients] == [200, 200]
        assert not proxy.runtime.waiting


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/messages", {"stream": False}),
        ("/v1/messages/count_tokens", {}),
        ("/v1/chat/completions", {}),
        ("/v1/responses", {"input": "hi", "messages": None, "max_tokens": None}),
    ],
)
def test_every_form_of_a_message_is_held(
    sandbox: SandboxServer, path: str, fields: dict[str, Any]
) -> None:
    sandbox.script("a", limited(30), Reply())
    with holding(sandbox) as proxy:
        [asking] = crowd(proxy, 1, path=path, **fields)
        on_the_loop(proxy, lambda: proxy.runtime.pool.reset("anthropic:a"))
        assert asking.answer() == 200


def test_other_paths_are_not_held(sandbox: SandboxServer) -> None:
    with holding(sandbox) as proxy:
        cooldown = Cooldown(1, time.time(), time.time() + 30, "refused", whole=True)
        cooldowns = proxy.runtime.pool.account_state("anthropic:a").cooldowns
        cooldowns["files"] = cooldown
        answer = httpx.get(f"{proxy.url}/v1/files", headers=CLAUDE_CODE, timeout=LIMIT)
    assert answer.status_code == 429


def test_a_client_that_comes_again_has_its_old_place(sandbox: SandboxServer) -> None:
    """As Claude Code does after 300 s of silence, with the same session and agent."""
    sandbox.script("a", limited(30), Reply(delay=0.3), Reply())
    session = {"x-claude-code-session-id": "s", "x-claude-code-agent-id": "a"}
    with holding(sandbox) as proxy:
        with connect(proxy) as leaving:
            asked = json.dumps(message()).encode()
            leaving.sendall(raw_request(asked, **CLAUDE_CODE, **session))
            wait_until(lambda: held(proxy) == 1, "it is held")
            crowd(proxy, 1, headers={"x-claude-code-session-id": "other"})
        proxy.rows.wait()
        [again] = crowd(proxy, 1, headers=session)
        order = [each.exchange.session_id for each in proxy.runtime.waiting.held]
        on_the_loop(proxy, lambda: proxy.runtime.pool.reset("anthropic:a"))
        assert again.answer() == 200
        proxy.rows.wait(3)
    assert order == ["s", "other"]


class SetClock(SystemClock):
    """A clock that can be set."""

    by = 0.0

    def __init__(self) -> None:
        super().__init__(wall=lambda: time.time() + self.by)


@pytest.mark.parametrize("by", [-86400.0, -5.0, 7200.0], ids=["a-day-back", "back", "forward"])
def test_the_clock_may_be_set_meanwhile(sandbox: SandboxServer, by: float) -> None:
    """Set back, cooldowns last as long as they would have; set forward, they have ended."""
    sandbox.script("a", limited(30), Reply(delay=0.3), Reply())
    clock = SetClock()

    def change(runtime: Runtime) -> None:
        clock.set_back.append(runtime.pool.clock_moved)

    with holding(sandbox, hold=40, clock=clock, change=change) as proxy:
        clients = crowd(proxy, 2)
        end_cooldown(proxy, after=1)
        began = time.monotonic()
        on_the_loop(proxy, lambda: setattr(clock, "by", by))
        assert [each.answer() for each in clients] == [200, 200]
    assert time.monotonic() - began < 9
