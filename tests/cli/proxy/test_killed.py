"""What is left of the logs when the proxy is killed in the middle of its work."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.cli.processes import MESSAGE, Shell
from tests.waiting import LIMIT, wait_until

WORKERS = 8


def ask_until_it_is_gone(url: str, done: list[str]) -> None:
    """Request after request; the ids of those that were answered whole are noted."""
    with httpx.Client(base_url=url, timeout=LIMIT, trust_env=False) as client:
        while True:
            try:
                answer = client.post("/v1/messages", json=MESSAGE)
            except httpx.HTTPError:
                return
            done.append(answer.headers["x-neurolink-request-id"])


def rows(logs: Path) -> tuple[list[str], int]:
    """Ids of all requests, and how many lines were torn."""
    ids, torn = [], 0
    for path in logs.glob("proxy-2*.jsonl"):
        for line in path.read_bytes().splitlines():
            try:
                ids.append(json.loads(line)["requestId"])
            except ValueError:
                torn += 1
    return ids, torn


@pytest.mark.timeout(120)
def test_a_killed_proxy_loses_at_most_the_rows_of_requests_in_flight(shell: Shell) -> None:
    logs = shell.home / ".neurolink" / "logs"
    before = threading.active_count()  # other tests of this process may have some of their own
    everything: list[str] = []
    for _ in range(2):  # the second time it goes on where the killed one stopped
        proxy, url = shell.serve("--sandbox", "--no-claude-settings")
        done: list[str] = []
        with ThreadPoolExecutor(WORKERS) as pool:
            for _ in range(WORKERS):
                pool.submit(ask_until_it_is_gone, url, done)
            wait_until(lambda done=done: len(done) > 60, "there is traffic")
            proxy.kill_alone()
        everything += done
    written, torn = rows(logs)
    assert torn <= 2
    assert len(set(everything) - set(written)) <= 2 * WORKERS
    assert len(set(written)) == len(written)
    assert threading.active_count() < before + WORKERS
