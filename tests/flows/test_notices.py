"""Notices by the real proxy: what happens to the pool is told once, and no request waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from neurolink_mitm.adapters.network import Network
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.notify import Notify
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.notices.channels import channels_of
from neurolink_mitm.notices.notifier import Notifier
from neurolink_mitm.ports import Runtime
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows.harness import CLAUDE_CODE, LIMIT, Proxy, account, message
from tests.notices.receiver import Receiver, hang
from tests.waiting import wait_until

LIMITED = Reply(429, headers={"retry-after": "1"})
RESET = time.time() + 3600
NEARLY_USED_UP = Reply(
    headers={
        "anthropic-ratelimit-unified-7d_oi-utilization": "0.91",
        "anthropic-ratelimit-unified-7d_oi-reset": f"{RESET:.0f}",
    }
)


@contextmanager
def noticing(sandbox: SandboxServer, receiver: Receiver, *labels: str) -> Iterator[Proxy]:
    """A proxy that looks at its pool very often, and tells by a webhook."""
    notify = Notify(webhook=receiver.url, secret=Secret("hunter2"))
    made: list[Notifier] = []

    def change(runtime: Runtime) -> None:
        made.append(
            Notifier(runtime, None, lambda notify: channels_of(notify, {}, Network()), every=0.01)
        )
        made[0].configure(runtime.config)
        runtime.notices = made[0]

    tokens = {"o": "sk-ant-oat-test-o"}
    accounts = [
        account(label, sandbox.url, **({"token": tokens[label]} if label in tokens else {}))
        for label in labels
    ]
    with Proxy(accounts, Config(notify=notify), change=change) as proxy:
        asyncio.run_coroutine_threadsafe(made[0].start(), proxy.loop).result(LIMIT)
        try:
            yield proxy
        finally:
            asyncio.run_coroutine_threadsafe(made[0].stop(), proxy.loop).result(LIMIT)


def ask(proxy: Proxy) -> int:
    answer = httpx.post(
        f"{proxy.url}/v1/messages", json=message(), headers=CLAUDE_CODE, timeout=LIMIT
    )
    return answer.status_code


def notices(proxy: Proxy) -> dict[str, Any]:
    """Return what the status says of them; it counts a notice after its receiver has it."""
    status: dict[str, Any] = httpx.get(f"{proxy.url}/status").json()["notices"]
    return status


def test_an_outage_is_told_by_two_events(sandbox: SandboxServer) -> None:
    for label in "ab":
        sandbox.script(label, LIMITED, Reply())
    with Receiver() as receiver, noticing(sandbox, receiver, "a", "b") as proxy:
        assert ask(proxy) == 429
        [cooling] = receiver.wait(1)
        wait_until(lambda: ask(proxy) == 200, "an account that has recovered")
        events = receiver.wait(2)
        wait_until(lambda: notices(proxy)["sent"] == 2, "both in the status")
        status = notices(proxy)
    assert [event["event"] for event in events] == ["all-cooling", "back"]
    assert cooling["account"] in ("a", "b")
    assert len({event["id"] for event in events}) == 2
    assert status == {"channels": ["webhook"], "sent": 2, "failed": 0, "lastError": None}


def test_a_window_and_a_paid_request_are_told(sandbox: SandboxServer) -> None:
    sandbox.script("o", NEARLY_USED_UP, NEARLY_USED_UP, Reply(429, headers={"retry-after": "60"}))
    with Receiver() as receiver, noticing(sandbox, receiver, "o", "a") as proxy:
        for count in (1, 1, 3, 3):
            assert ask(proxy) == 200
            receiver.wait(count)
    told = [
        (each["event"], each["account"], each["window"], each["used"]) for each in receiver.events
    ]
    assert told[0] == ("window-80", "o", "7d_oi", 0.91)
    assert sorted(told[1:]) == [
        ("paid-fallback", "a", None, None),
        ("window-80", "o", "5h", 1.0),  # as the refusal says
    ]


@pytest.mark.timeout(60)
def test_a_receiver_that_hangs_delays_no_request_and_bounds_the_end(sandbox: SandboxServer) -> None:
    sandbox.script("o", NEARLY_USED_UP)
    with Receiver(hang) as receiver, noticing(sandbox, receiver, "o") as proxy:
        assert ask(proxy) == 200
        receiver.wait(1)
        began = time.monotonic()
        assert [ask(proxy) for _ in range(3)] == [200] * 3
        assert time.monotonic() - began < 3
        proxy.runtime.notices.delivery.close(0.1)  # type: ignore[union-attr]
        assert time.monotonic() - began < 5
