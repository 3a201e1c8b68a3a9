"""Time that a test moves ahead: a limit is reached when the test says so, not when the machine is slow."""

from __future__ import annotations

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from mitmproxy.proxy import commands
from mitmproxy.proxy.server import ConnectionHandler

from neurolink_mitm.dataplane.layer import FailoverLayer
from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows.harness import LIMIT, Proxy, message
from tests.waiting import wait_until


class Ahead:
    """What the proxy's time limits are measured by: the machine's clock, and what a test adds to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._by = 0.0
        self._alarms: dict[asyncio.Event, float] = {}
        self._delays: set[float] = set()
        monkeypatch.setattr(FailoverLayer, "now", staticmethod(self.monotonic))
        go_on = ConnectionHandler.wakeup

        async def wakeup(handler: ConnectionHandler, request: commands.RequestWakeup) -> None:
            await self._wait(request.delay)
            request.delay = 0
            await go_on(handler, request)

        monkeypatch.setattr(ConnectionHandler, "wakeup", wakeup)

    def monotonic(self) -> float:
        return time.monotonic() + self._by

    def pass_time(self, proxy: Proxy, seconds: float) -> None:
        """Move on. What the proxy has sent by now, it has also set its limits for."""
        asyncio.run_coroutine_threadsafe(self._move(seconds), proxy.loop).result(LIMIT)

    def wait_for_limit(self, seconds: float) -> None:
        """Wait until the proxy has set itself a limit of so many seconds."""
        wait_until(
            lambda: any(seconds - 1 < delay <= seconds for delay in list(self._delays)),
            f"a limit of {seconds} s is set",
        )

    async def _wait(self, seconds: float) -> None:
        self._delays.add(seconds)
        at = self.monotonic() + seconds
        alarm = asyncio.Event()
        self._alarms[alarm] = at
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(alarm.wait(), seconds)
        finally:
            del self._alarms[alarm]

    async def _move(self, seconds: float) -> None:
        self._by += seconds
        for alarm, at in self._alarms.items():
            if at <= self.monotonic():
                alarm.set()


def ask_in_vain(
    proxy: Proxy,
    sandbox: SandboxServer,
    ahead: Ahead,
    seconds: list[float],
    body: dict[str, Any] | None = None,
) -> httpx.Response:
    """Ask; each time that upstream has been asked once more, let so much time pass."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(
            httpx.post, f"{proxy.url}/v1/messages", json=body or message(), timeout=LIMIT
        )
        for number, pause in enumerate(seconds, start=1):
            sandbox.wait_for(lambda requests, n=number: len(requests) >= n)  # type: ignore[misc]
            ahead.pass_time(proxy, pause)
        return asked.result(LIMIT)
