"""A proxy that runs as a process of its own, with a request that is held: whatever its user does is noticed at once."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from neurolink_mitm.sandbox import Reply
from tests.flows.harness import CLAUDE_CODE, LIMIT, message
from tests.flows.live import KEY, Live, live
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(180)
LIMITED = Reply(429, headers={"retry-after": "300"})


class Held(threading.Thread):
    """A request that is held by now."""

    def __init__(self, machine: Live) -> None:
        super().__init__(daemon=True)
        self._url = machine.url
        self.start()
        wait_until(lambda: machine.report()["requestsHeld"] == 1, "it is held")

    def run(self) -> None:
        url = f"{self._url}/v1/messages"
        self.answer = httpx.post(url, json=message(), headers=CLAUDE_CODE, timeout=120)

    def answered(self) -> httpx.Response:
        """The answer, which comes within moments."""
        began = time.monotonic()
        self.join(LIMIT)
        assert not self.is_alive(), "it is held still"
        assert time.monotonic() - began < 15
        return self.answer


def reconfigure(machine: Live, before: str, after: str) -> None:
    path = machine.home.config
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_a_login_a_reload_and_the_end_are_noticed_at_once(tmp_path: Path) -> None:
    with live(tmp_path / "live") as machine:
        machine.keep()
        machine.configure("routing: {hold: 900}")
        machine.upstream.script("plan", LIMITED, Reply())
        proxy = machine.serve()

        held = Held(machine)
        [shown] = machine.report()["held"]
        assert (shown["account"], shown["model"]) == ("anthropic:plan", message()["model"])
        machine.login("--add", "--label", "again")
        assert held.answered().status_code == 200

        machine.upstream.script("plan", LIMITED)
        held = Held(machine)
        reconfigure(
            machine,
            "routing:",
            f"accounts: {{anthropic: [{{name: key, apiKey: {KEY}}}]}}\nrouting:",
        )
        assert held.answered().headers["x-neurolink-account"] == "key"

        machine.upstream.script("key", LIMITED)
        held = Held(machine)
        reconfigure(machine, "hold: 900", "hold: 0")
        refused: Any = held.answered()
        assert (refused.status_code, int(refused.headers["retry-after"]) > 60) == (429, True)

        reconfigure(machine, "hold: 0", "hold: 900")
        wait_until(lambda: machine.report()["config"]["errors"] == [], "it is loaded")
        held = retried(machine)
        machine.stop()
        assert held.answered().status_code == 529
        assert "[proxy] held" in proxy.said + proxy.complained


def retried(machine: Live) -> Held:
    """A request that is held, once the configuration has been read."""
    url = f"{machine.url}/status?explain=1&model={message()['model']}"
    wait_until(lambda: httpx.get(url, timeout=LIMIT).json()["route"]["heldUntil"], "hold is set")
    return Held(machine)
