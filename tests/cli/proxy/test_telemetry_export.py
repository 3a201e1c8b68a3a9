"""A proxy of its own process that tells a collector, as .env says."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from neurolink_mitm.telemetry.otlp import MISSING
from tests.cli.processes import MESSAGE, Shell
from tests.otlp_receiver import Receiver
from tests.waiting import wait_until


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def endpoint(shell: Shell, url: str) -> None:
    shell.write(".env", f"OTEL_EXPORTER_OTLP_ENDPOINT={url}\nOTEL_BSP_SCHEDULE_DELAY=50\n")


def ask(url: str) -> None:
    assert httpx.post(f"{url}/v1/messages", json=MESSAGE, timeout=20).status_code == 200


def test_env_names_the_collector(shell: Shell, receiver: Receiver) -> None:
    endpoint(shell, receiver.url)
    proxy, url = shell.serve("--sandbox")
    ask(url)
    receiver.spans(2)
    proxy.signal()
    assert proxy.exit_code() == 0
    assert receiver.total("proxy_requests_total") == 1
    assert "telemetry" not in proxy.complained


def test_a_running_proxy_hears_of_a_collector(shell: Shell, receiver: Receiver) -> None:
    shell.write("proxy-config.yaml", "version: 1\n")
    _, url = shell.serve("--sandbox")
    ask(url)
    endpoint(shell, receiver.url)

    def told() -> object:
        return httpx.get(f"{url}/status", timeout=20).json()["telemetry"]

    wait_until(told, "it is in force")
    ask(url)
    assert len(receiver.logs(1)) == 1


def test_a_collector_that_hangs_does_not_hold_up_the_end(shell: Shell, receiver: Receiver) -> None:
    receiver.holds = True
    endpoint(shell, receiver.url)
    proxy, url = shell.serve("--sandbox")
    ask(url)
    wait_until(lambda: receiver.asked, "the collector was asked")
    began = time.monotonic()
    proxy.signal()
    assert proxy.exit_code() == 0
    assert time.monotonic() - began < 8


def test_without_the_extra_one_line_says_what_to_do(shell: Shell) -> None:
    """In its place lies a module that is no package."""
    place = shell.home / "none"
    place.mkdir()
    (place / "opentelemetry.py").touch()
    shell.variables["PYTHONPATH"] = f"{place}:{shell.environment['PYTHONPATH']}"
    endpoint(shell, "http://127.0.0.1:4318")
    proxy, url = shell.serve("--sandbox")
    ask(url)
    assert httpx.get(f"{url}/status", timeout=20).json()["telemetry"] is None
    assert proxy.complained.count(MISSING) == 1
