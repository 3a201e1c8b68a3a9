"""Jobs beside each other, none for too long.

Who listens.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from neurolink_mitm.core.status.probe_results import PortOwner
from neurolink_mitm.doctor.probes import answers, measure_clock_skew, probe_port, run_with_deadline
from neurolink_mitm.sandbox.server import SandboxServer


def test_results_by_name() -> None:
    assert run_with_deadline({"a": lambda: 1, "b": lambda: 2}, 5) == ({"a": 1, "b": 2}, {})


def test_they_run_at_the_same_time() -> None:
    """Each waits for the other."""
    both = threading.Barrier(2)
    done, unchecked = run_with_deadline({"a": lambda: both.wait(5), "b": lambda: both.wait(5)}, 6)
    assert (set(done), unchecked) == ({"a", "b"}, {})


def test_one_that_hangs_is_left_behind() -> None:
    ever = threading.Event()
    done, unchecked = run_with_deadline(
        {"hangs": lambda: ever.wait(20), "quick": lambda: True}, 0.2
    )
    ever.set()
    assert (done, unchecked) == ({"quick": True}, {"hangs": "not done within 0 s"})


def test_one_that_fails_says_why() -> None:
    def fails() -> None:
        raise OSError("no such disk")

    assert run_with_deadline({"fails": fails}, 5) == ({}, {"fails": "OSError: no such disk"})


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.mark.parametrize("ahead", [90, 0, -90])
def test_it_is_what_our_clock_is_ahead(sandbox: SandboxServer, ahead: float) -> None:
    assert measure_clock_skew(sandbox.url, clock=lambda: time.time() + ahead) == pytest.approx(
        ahead, abs=3
    )


def test_a_refusal_tells_the_time_as_well(sandbox: SandboxServer) -> None:
    assert measure_clock_skew(f"{sandbox.url}/v1/models") == pytest.approx(0, abs=3)


def test_an_address_that_nobody_answers_tells_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        assert measure_clock_skew(url, limit=0.1) is None
    assert measure_clock_skew(url) is None


@pytest.mark.parametrize("url", ["nonsense", "http://[", ""])
def test_what_is_no_address_tells_nothing(url: str) -> None:
    assert measure_clock_skew(url) is None


def test_a_program_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert answers("127.0.0.1", port)
        assert probe_port("127.0.0.1", port) == PortOwner(os.getpid(), psutil.Process().name())


def test_nobody() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        assert not answers("127.0.0.1", port)
        assert probe_port("127.0.0.1", port) is None
