"""Whatever a client sends, the event loop goes on: nobody waits for another's hostile request."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurolink_mitm.adapters.bodies import FileBodies
from neurolink_mitm.adapters.journal import FileJournal
from neurolink_mitm.core.settings.values import Config, Logging
from neurolink_mitm.ports import Runtime
from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows.harness import Proxy, account, connect, raw_request, read_answer
from tests.stalls import Witness

KEY = b'{"model": "claude-sonnet-4-6", "max_tokens": 1, "messages": [%s]}'
FAMILIES = {
    "spaces": KEY % (b'"api_keys": ["' + b" " * 40_000 + b"x"),
    "escapes": KEY % (b'"' + b'\\\\\\"' * 20_000),
    "private-keys": KEY % (b'"' + b"-----BEGIN PRIVATE KEY-----" * 10_000 + b'"'),
    "colons": KEY % (b'"' + b":" * 1_000_000 + b'"'),
    "thinking": KEY
    % (
        b'{"role": "assistant", "content": ['
        + b",".join([b'{"type": "thinking", "thinking": "x"}'] * 10_000)
        + b"]}"
    ),
    "tool-ids": KEY
    % (
        b'{"role": "assistant", "content": ['
        + b",".join(
            b'{"type": "tool_use", "id": "%d!", "name": "x", "input": {}}' % n for n in range(2000)
        )
        + b"]}"
    ),
    "tool-ids-again": KEY
    % (
        b'{"role": "assistant", "content": ['
        + b",".join([b'{"type": "tool_use", "id": "call_0", "name": "x", "input": {}}'] * 20_000)
        + b"]}"
    ),
    "blank": KEY
    % (b",".join([b'{"role": "user", "content": [{"type": "text", "text": " "}]}'] * 10_000)),
    "user-id": KEY[:-1] % b"" + b', "metadata": {"user_id": "' + b"\\\\" * 1_000_000 + b'"}}',
}


@pytest.mark.parametrize("family", FAMILIES)
def test_no_body_stops_the_loop(tmp_path: Path, sandbox: SandboxServer, family: str) -> None:
    journal = FileJournal(tmp_path)
    bodies = FileBodies(tmp_path, journal)

    def captured(runtime: Runtime) -> None:
        runtime.journal, runtime.bodies = journal, bodies  # to files, as a proxy of a user's

    config = Config(logging=Logging(capture_bodies="all"))
    with (
        Proxy([account("a", sandbox.url)], config, change=captured) as proxy,
        Witness(proxy.loop, over_ms=100) as witness,
        connect(proxy) as connection,
    ):
        connection.sendall(raw_request(FAMILIES[family], user_agent="claude-cli/2.1.0"))
        assert read_answer(connection).startswith(b"HTTP/1.1 ")
        bodies.close()
        journal.close()
    assert witness.stalls == []
