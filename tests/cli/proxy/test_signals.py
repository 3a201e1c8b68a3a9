"""How the proxy ends, in whichever way it is run: whole streams first, then at once, and always with 0."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.token_store import TokenStore
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Timeouts
from neurolink_mitm.sandbox import Account, Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.cli.logins import settings
from tests.cli.processes import MESSAGE, WAYS, Shell, port_of, refuses
from tests.flows.harness import events
from tests.flows.live import Streaming
from tests.waiting import wait_until

AT_ONCE = Timeouts().drain / 2
"""Seconds: less than it would wait for streams, more than a busy machine needs."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def rows(shell: Shell, family: str = "proxy-2") -> list[dict[str, Any]]:
    logs = sorted((shell.state.parent / "logs").glob(f"{family}*.jsonl"))
    return [json.loads(line) for log in logs for line in log.read_bytes().splitlines()]


@pytest.mark.parametrize("number", SIGNALS)
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


@pytest.mark.parametrize("way", WAYS)
def test_a_stream_is_finished_first(
    shell: Shell, pool: Path, upstream: SandboxServer, way: str
) -> None:
    upstream.script("a", Reply(event_delay=0.1, events=15))
    proxy, url = shell.serve_by(way)
    client = Streaming(url)
    proxy.signal(signal.SIGHUP if way == "mitmdump" else signal.SIGTERM)
    wait_until(lambda: refuses(port_of(url)), "it takes no more connections")
    assert not upstream.requests[-1].done
    client.join(AT_ONCE)
    assert client.received == upstream.requests[-1].answer
    assert b"event: message_stop" in client.received
    assert proxy.exit_code(AT_ONCE) == 0
    assert [row["outcome"] for row in rows(shell)] == ["complete"]
    assert not shell.state.exists()


@pytest.mark.parametrize("way", WAYS)
def test_a_second_signal_does_not_wait(
    shell: Shell, pool: Path, upstream: SandboxServer, way: str
) -> None:
    """What is still under way ends in an error event, and in rows."""
    upstream.script("a", Reply(stall_after=6), Reply(stall_after=0))
    proxy, url = shell.serve_by(way)
    client = Streaming(url)
    proxy.signal()
    wait_until(lambda: refuses(port_of(url)), "it takes no more connections")
    assert not upstream.requests[-1].done
    assert proxy.runs
    began = time.monotonic()
    proxy.signal()
    assert proxy.exit_code(AT_ONCE) == 0
    assert time.monotonic() - began < AT_ONCE
    client.join(AT_ONCE)
    name, data = events(client.received)[-1]
    assert (name, data["error"]["type"]) == ("error", "overloaded_error")
    assert not shell.state.exists()
    upstream.wait_for(lambda requests: requests[-1].disconnected)
    assert [row["outcome"] for row in rows(shell)] == ["truncated"]
    assert len(rows(shell, "proxy-attempts")) == 1


def test_a_script_that_is_loaded_anew_goes_on(
    shell: Shell, pool: Path, upstream: SandboxServer
) -> None:
    """Streams that came by the script before it are finished, too, and waited for."""
    upstream.script("a", Reply(event_delay=0.2, events=25))
    script = shell.place / "script.py"
    script.write_text(
        "from neurolink_mitm.stack import MitmScript, stack\naddons = [MitmScript(stack)]\n"
    )
    proxy, url = shell.serve_by("mitmdump", script)
    wait_until(
        lambda: shell.admin_token, "it serves"
    )  # mitmproxy may load it once more as it starts
    before = shell.admin_token
    client = Streaming(url)
    script.write_text(f"{script.read_text()}# another\n")
    wait_until(lambda: shell.admin_token not in ("", before), "the script serves anew")
    assert not upstream.requests[-1].done
    proxy.signal()
    client.join(AT_ONCE)
    assert client.received == upstream.requests[-1].answer
    assert proxy.exit_code(AT_ONCE) == 0
    assert [row["outcome"] for row in rows(shell)] == ["complete"]
    assert not shell.state.exists()


@pytest.mark.parametrize("way", WAYS)
def test_a_token_that_is_being_rotated_is_not_lost(shell: Shell, way: str) -> None:
    """The token endpoint takes its time, and has already spent the old refresh token."""
    token, refresh = "sk-ant-oat-test-plan", "sk-ant-ort-test-plan"
    account = Account("plan", token, "oauth", refresh, expires_in=86400)
    with SandboxServer([account]) as upstream:
        shell.write("proxy-config.yaml", settings(upstream.url))
        store = TokenStore(Home(shell.home / ".neurolink"))
        store.save(StoredAccount("plan", Secret(token), Secret(refresh), time.time() + 60))
        upstream.script_tokens(Reply(delay=2.0))
        proxy, _ = shell.serve_by(way)
        asked = upstream.wait_for(lambda requests: [r for r in requests if "token" in r.path])
        assert asked
        proxy.signal(signal.SIGINT)
        assert proxy.exit_code(AT_ONCE) == 0
        [login] = store.read().stored
        assert login.refresh_token != Secret(refresh)
