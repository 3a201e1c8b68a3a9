"""Prices of the user's own, in a running proxy: in its rows, and in what `/status` says is spent."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from tests.cli.processes import MESSAGE, Shell
from tests.waiting import wait_until

OWN = """\
prices:
  claude-sonnet-*: {{input: {input}, output: 0, cacheRead: 0, cache-write-5m: 0, cacheWrite1h: 0}}
"""


def costs(shell: Shell, requests: int) -> list[tuple[int, float]]:
    """Tokens asked, and USD, of each request."""
    logs = shell.home / ".neurolink" / "logs"

    def lines() -> list[str]:
        return [
            line for file in logs.glob("proxy-2*.jsonl") for line in file.read_text().splitlines()
        ]

    wait_until(lambda: len(lines()) == requests, f"{requests} rows are written")
    rows = [json.loads(line) for line in lines()]
    return [(row["inputTokens"], row["costUsd"]) for row in rows]


def spent(url: str) -> float:
    return float(httpx.get(f"{url}/status").json()["spend"]["todayUsd"])


def test_they_are_what_an_answer_costs_and_can_change(shell: Shell, pool: Path) -> None:
    accounts = pool.read_text()
    pool.write_text(accounts + OWN.format(input=1_000_000))
    proxy, url = shell.serve()
    httpx.post(f"{url}/v1/messages", json=MESSAGE, timeout=20)
    [(tokens, cost)] = costs(shell, 1)
    assert tokens > 0
    assert (cost, spent(url)) == (tokens, tokens), "a dollar a token"

    pool.write_text(accounts + OWN.format(input=2_000_000))
    proxy.expect(r'prices\["claude-sonnet-\*"\]\.input: 1e\+06 -> 2e\+06')
    httpx.post(f"{url}/v1/messages", json=MESSAGE, timeout=20)
    assert costs(shell, 2)[1] == (tokens, 2 * tokens)
    assert spent(url) == 3 * tokens
    (day,) = json.loads(shell.run("stats", "--format", "json").said)["rows"]
    assert day["costUsd"] == 3 * tokens
