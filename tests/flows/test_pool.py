"""Strategies, affinity, limits, healing and memory, through the real proxy."""

from __future__ import annotations

import base64
import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from neurolink_mitm.adapters.persisted_state import FileStateStore, read_cooldowns, read_quotas
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.ports import Runtime
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.fakes import FakeClock
from tests.flows.harness import (
    CLAUDE_CODE,
    LIMIT,
    Proxy,
    account,
    connect,
    message,
    raw_request,
    read_answer,
)

LIMITED = Reply(429, headers={"retry-after": "30"})


def ask(proxy: Proxy, **headers: str) -> httpx.Response:
    headers = CLAUDE_CODE | {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{proxy.url}/v1/messages", json=message(), headers=headers, timeout=LIMIT)


def served(answer: httpx.Response) -> str:
    return answer.headers["x-neurolink-account"]


def test_round_robin_by_weight(sandbox: SandboxServer) -> None:
    pool = [
        account("a", sandbox.url, weight=3.0),
        account("b", sandbox.url),
        account("c", sandbox.url),
    ]
    with Proxy(pool, strategy="round-robin") as proxy:
        order = [served(ask(proxy)) for _ in range(10)]
    assert Counter(order) == {"a": 6, "b": 2, "c": 2}


def test_lower_priority_is_overflow(sandbox: SandboxServer) -> None:
    pool = [account("a", sandbox.url, priority=1), account("b", sandbox.url)]
    with Proxy(pool, strategy="round-robin") as proxy:
        assert [served(ask(proxy)) for _ in range(3)] == ["a", "a", "a"]
        sandbox.script("a", LIMITED)
        assert [served(ask(proxy)) for _ in range(2)] == ["b", "b"]


def test_quota_aware_leaves_an_account_past_its_fallback(sandbox: SandboxServer) -> None:
    used = {
        "anthropic-ratelimit-unified-5h-utilization": "0.6",
        "anthropic-ratelimit-unified-5h-reset": f"{time.time() + 3600:.0f}",
    }
    sandbox.script("a", Reply(headers=used))
    pool = [account("a", sandbox.url), account("b", sandbox.url)]
    with Proxy(pool, strategy="quota-aware") as proxy:
        assert [served(ask(proxy)) for _ in range(3)] == ["a", "b", "b"]
        [first, *_] = proxy.rows.wait(3)
        assert "quota-aware" in first.why


def test_session_yields_and_returns(sandbox: SandboxServer) -> None:
    """A session that began elsewhere stays there, and comes back when its home has recovered."""
    clock = FakeClock()
    pool = [account("a", sandbox.url), account("b", sandbox.url)]
    with Proxy(pool, clock=clock) as proxy:
        sandbox.script("a", LIMITED, Reply())
        one = {"x_claude_code_session_id": "one"}
        assert served(ask(proxy, **one)) == "b"
        clock.advance(31)
        assert served(ask(proxy, x_claude_code_session_id="two")) == "a"
        assert served(ask(proxy, **one)) == "b"  # its prompt cache is warm there
        sandbox.script("b", LIMITED, Reply())
        assert served(ask(proxy, **one)) == "a"
        clock.advance(31)
        assert served(ask(proxy, **one)) == "b"
        assert "session affinity" in proxy.rows.wait(5)[-1].why


def test_affinity_can_be_switched_off(sandbox: SandboxServer) -> None:
    clock = FakeClock()
    pool = [account("a", sandbox.url), account("b", sandbox.url)]

    def without_affinity(runtime: Runtime) -> None:
        runtime.pool = Pool(pool, affinity=False)

    with Proxy(pool, clock=clock, change=without_affinity) as proxy:
        sandbox.script("a", LIMITED, Reply())
        assert served(ask(proxy, x_claude_code_session_id="one")) == "b"
        clock.advance(31)
        assert served(ask(proxy, x_claude_code_session_id="one")) == "a"


def test_rate_limit_of_our_own(sandbox: SandboxServer) -> None:
    clock = FakeClock()
    pool = [account("a", sandbox.url, rate_limit=2), account("b", sandbox.url)]
    with Proxy(pool, clock=clock) as proxy:
        assert [served(ask(proxy)) for _ in range(3)] == ["a", "a", "b"]
        clock.advance(30)  # half a minute is one request
        assert [served(ask(proxy)) for _ in range(2)] == ["a", "b"]


def test_max_concurrent(sandbox: SandboxServer) -> None:
    sandbox.script("a", Reply(stall_after=6), Reply())
    pool = [account("a", sandbox.url, max_concurrent=1), account("b", sandbox.url)]
    with Proxy(pool) as proxy:
        with connect(proxy) as busy:
            busy.sendall(raw_request())
            busy.recv(1)
            assert served(ask(proxy)) == "b"
        sandbox.wait_for(lambda requests: requests[0].disconnected)
        proxy.rows.wait(2)
        assert served(ask(proxy)) == "a"


def test_excluded_model(sandbox: SandboxServer) -> None:
    pool = [
        account("a", sandbox.url, excluded_models=("claude-sonnet-*",)),
        account("b", sandbox.url),
    ]
    with Proxy(pool) as proxy:
        assert served(ask(proxy)) == "b"
        assert "excludes claude-sonnet-4-6" in proxy.rows.wait()[0].why


def test_model_limit_leaves_other_models_alone(sandbox: SandboxServer) -> None:
    claim = {
        "anthropic-ratelimit-unified-representative-claim": "seven_day_opus",
        "retry-after": "30",
    }
    sandbox.script("a", Reply(429, headers=claim), Reply())
    with Proxy([account("a", sandbox.url), account("b", sandbox.url)], clock=FakeClock()) as proxy:
        url = f"{proxy.url}/v1/messages"
        by = []
        for model in ("claude-opus-4-6", "claude-opus-4-6", "claude-sonnet-4-6"):
            by.append(served(httpx.post(url, json=message(model=model), timeout=LIMIT)))
    assert by == ["b", "b", "a"]


def test_one_probe_after_a_cooldown(sandbox: SandboxServer) -> None:
    """While one request tries the account again, others stay off it; its success opens it to all."""
    clock = FakeClock()
    sandbox.script("a", LIMITED, Reply(stall_after=0), Reply())
    with Proxy([account("a", sandbox.url), account("b", sandbox.url)], clock=clock) as proxy:
        assert served(ask(proxy)) == "b"
        clock.advance(31)
        with connect(proxy) as probe:
            probe.sendall(raw_request())
            sandbox.wait_for(lambda requests: requests[-1].account == "a")
            assert served(ask(proxy)) == "b"
            assert "being tried again" in proxy.rows.wait(2)[-1].why
        proxy.rows.wait(3)  # the probe's client has left: that says nothing of the account
        assert served(ask(proxy)) == "a"
        assert not proxy.runtime.pool.account_state("anthropic:a").cooldowns


def test_single_account_recovers_by_itself(sandbox: SandboxServer) -> None:
    """In real time: two seconds after a 429 with Retry-After 2 the account serves again."""
    sandbox.script("a", Reply(429, headers={"retry-after": "2"}), Reply())
    with Proxy([account("a", sandbox.url)]) as proxy:
        began = asked = time.monotonic()
        answer = ask(proxy)
        told = time.monotonic()
        assert answer.status_code == 429
        while answer.status_code == 429:
            assert asked < told + 2, "it is still refused"
            threading.Event().wait(float(answer.headers["retry-after"]) / 20)
            asked = time.monotonic()
            answer = ask(proxy)
        assert answer.status_code == 200
        assert time.monotonic() - began > 1.9
    assert len(sandbox.requests) == 2  # nobody knocked before the time


def test_cooldowns_survive_a_restart(sandbox: SandboxServer, tmp_path: Path) -> None:
    files = tmp_path / "cooldowns.json", tmp_path / "quotas.json"
    pool = [account("a", sandbox.url), account("b", sandbox.url)]
    sandbox.script("a", LIMITED)
    memory = FileStateStore(*files)

    def remember(runtime: Runtime) -> None:
        runtime.state_store = memory

    with Proxy(pool, change=remember) as proxy:
        assert served(ask(proxy)) == "b"
    memory.close()

    def restore(runtime: Runtime) -> None:
        runtime.pool.restore(read_cooldowns(files[0]), read_quotas(files[1]), runtime.clock.now())

    with Proxy(pool, change=restore) as proxy:
        assert served(ask(proxy)) == "b"
        assert "cooling" in proxy.rows.wait()[0].why
    assert [r.account for r in sandbox.requests] == ["a", "b", "b"]
    renewed = [account("a", sandbox.url, token="sk-ant-test-c"), account("b", sandbox.url)]
    with Proxy(renewed, change=restore) as proxy:  # a new credential starts clean
        assert served(ask(proxy)) == "a"


def test_reset(sandbox: SandboxServer) -> None:
    sandbox.script("a", LIMITED, Reply())

    def with_token(runtime: Runtime) -> None:
        runtime.admin_token = Secret("admin-test")

    with Proxy([account("a", sandbox.url), account("b", sandbox.url)], change=with_token) as proxy:
        assert served(ask(proxy)) == "b"
        url = f"{proxy.url}/admin/reset"
        assert httpx.post(url, timeout=LIMIT).status_code == 403
        headers = {"x-neurolink-admin": "admin-test"}
        missing = httpx.post(url, params={"account": "x"}, headers=headers, timeout=LIMIT)
        assert missing.status_code == 404
        done = httpx.post(url, params={"account": "a"}, headers=headers, timeout=LIMIT)
        assert done.json() == {"reset": ["a"]}
        assert served(ask(proxy)) == "a"


class _Connect(socketserver.BaseRequestHandler):
    """An HTTP proxy that knows CONNECT only, and notes what it was asked."""

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.request.recv(65536)
        self.server.heads.append(head)  # type: ignore[attr-defined]
        host, port = head.split()[1].decode().rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=LIMIT) as upstream:
            self.request.sendall(b"HTTP/1.1 200 ok\r\n\r\n")
            back = threading.Thread(target=_pump, args=(upstream, self.request), daemon=True)
            back.start()
            _pump(self.request, upstream)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # either end may be gone already


@contextmanager
def connect_proxy() -> Iterator[tuple[int, list[bytes]]]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Connect) as server:
        server.daemon_threads = True
        server.heads = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1], server.heads  # type: ignore[attr-defined]
        server.shutdown()


@pytest.mark.parametrize("user", ["", "me:p%40ss@"], ids=["open", "with a password"])
def test_account_behind_a_proxy(sandbox: SandboxServer, user: str) -> None:
    with ExitStack() as stack:
        port, heads = stack.enter_context(connect_proxy())
        through = account("a", sandbox.url, proxy_url=f"http://{user}127.0.0.1:{port}")
        pool = [through, account("b", sandbox.url, proxy_url="direct")]
        connection = stack.enter_context(connect(stack.enter_context(Proxy(pool))))
        for _ in range(2):
            connection.sendall(raw_request())
            assert b"x-neurolink-account: a" in read_answer(connection)
        sandbox.script("a", Reply(error_first="overloaded_error"))
        connection.sendall(raw_request())
        assert b"x-neurolink-account: b" in read_answer(connection)
    assert len(set(heads)) == 1  # a spare has a tunnel of its own
    target = sandbox.url.removeprefix("http://").encode()
    assert heads[0].startswith(b"CONNECT " + target)
    expected = base64.b64encode(b"me:p@ss")
    assert (expected in heads[0]) == bool(user)
    assert b"sk-ant" not in heads[0]
