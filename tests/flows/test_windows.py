"""Windows of a subscription through the real proxy: the recorded headers, at a clock of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from neurolink_mitm.adapters.persisted_state import FileStateStore, read_cooldowns, read_quotas
from neurolink_mitm.adapters.window_history import WindowHistory, read_history
from neurolink_mitm.ports import Runtime
from neurolink_mitm.sandbox import Account, Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.core.pool import recorded_windows as recorded
from tests.fakes import FakeClock
from tests.flows.harness import CLAUDE_CODE, LIMIT, Proxy, account, message

FABLE, OPUS = "claude-fable-5-1", "claude-opus-4-6"
LABELS = ("a", "b")


@pytest.fixture
def upstream() -> Iterator[SandboxServer]:
    """Two subscriptions."""
    with SandboxServer([Account(n, f"sk-ant-oat-test-{n}", "oauth") for n in LABELS]) as server:
        yield server


def proxy_of(upstream: SandboxServer, clock: FakeClock, **how: Any) -> Proxy:
    pool = [account(n, upstream.url, token=f"sk-ant-oat-test-{n}") for n in LABELS]
    return Proxy(pool, clock=clock, **how)


def replies(lines: str, status: int = 200) -> Reply:
    headers = {name.decode(): value.decode() for name, value in recorded.fields(lines)}
    ours = [f"{recorded.U}{name}-{part}" for name in ("5h", "7d") for part in ("status", "reset")]
    usual = (
        *ours,
        f"{recorded.U}status",
        f"{recorded.U}representative-claim",
        f"{recorded.U}reset",
    )
    return Reply(status, headers={**dict.fromkeys(usual, ""), **headers})


def ask(proxy: Proxy, model: str) -> httpx.Response:
    asked = message(model=model)
    return httpx.post(f"{proxy.url}/v1/messages", json=asked, headers=CLAUDE_CODE, timeout=LIMIT)


def stats(proxy: Proxy) -> Mapping[str, Any]:
    found: Mapping[str, Any] = httpx.get(f"{proxy.url}/status", timeout=LIMIT).json()["stats"]
    return found


def test_a_window_of_fable_is_fables(upstream: SandboxServer) -> None:
    clock = FakeClock(recorded.REFUSED_AT)
    refused = replies(recorded.FABLE_REFUSED, 429)
    upstream.script("a", refused, Reply())
    upstream.script("b", refused)
    with proxy_of(upstream, clock) as proxy:
        answer = ask(proxy, FABLE)
        assert answer.status_code == 429
        wait = round(1785736800 - recorded.REFUSED_AT + 0.5)
        assert abs(int(answer.headers["retry-after"]) - wait) <= 1
        assert ask(proxy, OPUS).headers["x-neurolink-account"] == "a"
        first, second = stats(proxy)["accounts"]
        assert first["recoversAt"] == second["recoversAt"] == "2026-08-03T06:00:00.000Z"
        windows = second["quota"]["windows"]
        assert (windows["7d_oi"]["models"], windows["7d"]["models"]) == (["*fable*"], ["*"])
        assert windows["7d_oi"]["status"] == "rejected"
        metrics = httpx.get(f"{proxy.url}/metrics", timeout=LIMIT).text
        assert 'proxy_account_window_used_ratio{account="b",window="7d_oi"} 1' in metrics


def test_forecasts_go_on_after_a_restart(upstream: SandboxServer, tmp_path: Path) -> None:
    files = tmp_path / "cooldowns.json", tmp_path / "quotas.json"
    path, clock = tmp_path / "windows.jsonl", FakeClock(recorded.SERVED_AT)
    store, history = FileStateStore(*files), WindowHistory(path)
    name = "7d_oi-utilization: 0.8"
    used = [recorded.FABLE.replace(f"{name}3", f"{name}{n}") for n in (0, 2, 4)]
    upstream.script("a", *(replies(lines) for lines in used))

    def remember(runtime: Runtime) -> None:
        runtime.state_store, runtime.window_history = store, history

    with proxy_of(upstream, clock, change=remember) as proxy:
        for _ in used:
            assert ask(proxy, FABLE).status_code == 200
            clock.advance(600)
        expected = stats(proxy)
    store.close()
    history.close()

    def restore(runtime: Runtime) -> None:
        now = clock.now()
        quotas, readings = read_quotas(files[1]), read_history(path)
        runtime.pool.restore(read_cooldowns(files[0]), quotas, now, readings)

    with proxy_of(upstream, clock, change=restore) as proxy:
        again = stats(proxy)
    assert again["accounts"][0]["quota"] == expected["accounts"][0]["quota"]
    assert again["forecast"] == expected["forecast"]
    out_at = again["accounts"][0]["quota"]["windows"]["7d_oi"]["runsOutAt"]
    assert out_at == "2026-08-07T16:10:00.000Z"
