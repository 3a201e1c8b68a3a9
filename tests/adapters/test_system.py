from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from neurolink_mitm.adapters.system import free_port, listener

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
