from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import pytest

from neurolink_mitm.adapters.system import SystemClock, free_port, listener
from tests.fakes import NOW

LISTEN = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("words", "named"), [([], "python"), (["neurolink"], "another NeuroLink")], ids=["any", "ours"]
)
def test_who_listens_is_named(words: list[str], named: str) -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", LISTEN, *words]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout
        found = listener(int(process.stdout.readline()))
        process.kill()
    assert found
    assert found.startswith(named)
    assert found.endswith(f"(pid {process.pid})")


def test_nobody_is_named_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    assert listener(port) is None


def test_who_is_only_connected_does_not_listen() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert listener(client.getsockname()[1]) is None
        assert str(os.getpid()) in (listener(server.getsockname()[1]) or "")


def test_a_port_that_is_taken_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert free_port("127.0.0.1", taken) != taken
    assert free_port("127.0.0.1", taken) == taken


# the clock


class Clocks:
    """The wall's, which can be set, and one that nobody sets."""

    def __init__(self) -> None:
        self.wall, self.even = NOW, 5.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.even += seconds


@pytest.mark.parametrize(
    ("by", "told"),
    [(-86_400, [-86_400]), (-2, [-2]), (-0.5, []), (0, []), (86_400, [])],
    ids=["a-day-back", "two-seconds-back", "trimmed", "right", "forward-or-asleep"],
)
def test_a_clock_that_is_set_back_is_told_once(by: float, told: list[float]) -> None:
    clocks, heard = Clocks(), list[float]()
    clock = SystemClock(lambda: clocks.wall, lambda: clocks.even)
    clock.set_back.append(heard.append)
    clocks.pass_by(100)
    clock.now()
    clocks.pass_by(10)
    clocks.wall += by
    assert [clock.now(), clock.now()] == [NOW + 110 + by] * 2
    assert heard == pytest.approx(told)


def test_it_is_the_machines() -> None:
    assert abs(SystemClock().now() - time.time()) < 1
