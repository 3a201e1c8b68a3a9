"""How the proxy ends: whole streams first, then at once, and always with 0."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import httpx
import pytest

from neurolink_mitm.mitm.master import DRAIN
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.cli.processes import MESSAGE, Shell, port_of, refuses
from tests.waiting import wait_until

AT_ONCE = DRAIN / 2
"""Seconds: less than it would wait for streams, more than a busy machine needs."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_idle_connections_do_not_keep_it(shell: Shell, number: int) -> None:
    """Clients keep them open for minutes."""
    proxy, url = shell.serve("--sandbox")
    address = ("127.0.0.1", port_of(url))
    with httpx.Client() as client, socket.create_connection(address) as silent:
        assert client.get(f"{url}/health").status_code == 200
        assert client.post(f"{url}/v1/messages", json=MESSAGE).status_code == 200
        proxy.signal(number)
        assert proxy.exit_code(AT_ONCE) == 0
        silent.settimeout(AT_ONCE)
        assert silent.recv(1) == b""
    lines = proxy.complained.splitlines()
    assert [line for line in lines if "[proxy]" not in line] == []
    assert not shell.state.exists()


def test_a_stream_is_finished_first(shell: Shell, pool: Path, upstream: SandboxServer) -> None:
    upstream.script("a", Reply(event_delay=0.1, events=15))
    proxy, url = shell.serve()
    with httpx.stream("POST", f"{url}/v1/messages", json=MESSAGE, timeout=20) as answer:
        chunks = answer.iter_raw()
        received = next(chunks)
        proxy.signal()
        wait_until(lambda: refuses(port_of(url)), "it takes no more connections")
        assert not upstream.requests[-1].done
        assert proxy.runs
        received += b"".join(chunks)
    assert received == upstream.requests[-1].answer
    assert b"event: message_stop" in received
    assert proxy.exit_code(AT_ONCE) == 0
    assert not shell.state.exists()


def test_a_second_signal_does_not_wait(shell: Shell, pool: Path, upstream: SandboxServer) -> None:
    upstream.script("a", Reply(stall_after=6))
    proxy, url = shell.serve()
    with httpx.stream("POST", f"{url}/v1/messages", json=MESSAGE, timeout=20) as answer:
        chunks = answer.iter_raw()  # once forgotten, it closes the connection
        next(chunks)
        proxy.signal()
        wait_until(lambda: refuses(port_of(url)), "it takes no more connections")
        assert not upstream.requests[-1].done
        assert proxy.runs
        began = time.monotonic()
        proxy.signal()
        assert proxy.exit_code(AT_ONCE) == 0
        assert time.monotonic() - began < AT_ONCE
    assert not shell.state.exists()
    upstream.wait_for(lambda requests: requests[-1].disconnected)
    [log] = (shell.state.parent / "logs").glob("proxy-2*.jsonl")
    assert b'"outcome":"client_cancelled"' in log.read_bytes()
