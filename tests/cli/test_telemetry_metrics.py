"""`neurolink proxy telemetry`, and /metrics of a real proxy."""

from __future__ import annotations

import json

import httpx

from tests.cli.conftest import Running
from tests.cli.processes import MESSAGE, Shell


def test_metrics(running: Running) -> None:
    answer = httpx.post(f"{running.url}/v1/messages", json=MESSAGE)
    assert answer.status_code == 200
    printed = running.shell.run("proxy", "telemetry", "metrics")
    assert printed.process.returncode == 0
    assert 'outcome="complete",status="200"} 1' in printed.said
    assert "proxy_tokens_output_total{" in printed.said
    served = httpx.get(f"{running.url}/metrics")
    assert served.text.splitlines()[:3] == printed.said.splitlines()[:3]


def test_metrics_of_none(shell: Shell) -> None:
    ended = shell.run("proxy", "telemetry", "metrics")
    assert ended.exit_code() == 3
    assert ended.complained.count("\n") == 1


def test_client_keys_count_for_metrics_as_for_status(shell: Shell) -> None:
    shell.run("clients", "add", "scraper")
    _, url = shell.serve("--sandbox", "--no-claude-settings")
    assert httpx.get(f"{url}/metrics").status_code == 401
    printed = shell.run("proxy", "telemetry", "metrics")  # by the user who started it
    assert printed.said.startswith("# HELP proxy_requests_total")


def test_a_dashboard(shell: Shell) -> None:
    printed = shell.run("proxy", "telemetry", "dashboard")
    assert json.loads(printed.said)["title"] == "NeuroLink"
