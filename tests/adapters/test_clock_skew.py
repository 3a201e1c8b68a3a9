from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from neurolink_mitm.adapters.clock_skew import measure
from neurolink_mitm.sandbox.server import SandboxServer


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.mark.parametrize("ahead", [90, 0, -90])
def test_it_is_what_our_clock_is_ahead(sandbox: SandboxServer, ahead: float) -> None:
    assert measure(sandbox.url, clock=lambda: time.time() + ahead) == pytest.approx(ahead, abs=3)


def test_a_refusal_tells_the_time_as_well(sandbox: SandboxServer) -> None:
    assert measure(f"{sandbox.url}/v1/models") == pytest.approx(0, abs=3)


def test_an_address_that_nobody_answers_tells_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert measure(url, limit=0.1) is None
    assert measure(url) is None


@pytest.mark.parametrize("url", ["nonsense", "http://[", ""])
def test_what_is_no_address_tells_nothing(url: str) -> None:
    assert measure(url) is None
