"""Real clients over TLS, with a self-signed certificate: curl, Anthropic's SDK, Claude Code."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.adapters.own_address import CA_VARIABLE
from neurolink_mitm.claude_code.settings_text import variables
from neurolink_mitm.sandbox.server import SandboxServer
from tests import claude_cli as claude_code
from tests.certificates import make_pair
from tests.flows.harness import LIMIT, MODEL, Proxy, account, message
from tests.flows.test_caller_tls import use


@pytest.fixture
def proxy(tmp_path: Path, sandbox: SandboxServer) -> Iterator[Proxy]:
    make_pair(tmp_path)
    with Proxy(
        [account("a", sandbox.url)], change=lambda runtime: use(tmp_path, "tls", runtime)
    ) as proxy:
        yield proxy


@pytest.mark.real("curl")
def test_curl(proxy: Proxy, tmp_path: Path, sandbox: SandboxServer) -> None:
    command = [
        "curl", "-sN", "--max-time", str(LIMIT), "--cacert", str(tmp_path / "tls.crt"),
        "-H", "content-type: application/json", "-d", json.dumps(message()),
        f"{proxy.url}/v1/messages",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, check=True, timeout=2 * LIMIT)
    assert done.stdout == sandbox.requests[0].answer


def test_the_sdk(proxy: Proxy, tmp_path: Path) -> None:
    import anthropic  # at run time where it is used: who only collects this file need not wait

    context = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
    with (
        anthropic.DefaultHttpxClient(verify=context) as http_client,
        anthropic.Anthropic(
            base_url=proxy.url, api_key="k", http_client=http_client, max_retries=0
        ) as client,
    ):
        asked: Any = [{"role": "user", "content": "say hi"}]
        for _ in range(2):
            with client.messages.stream(model=MODEL, max_tokens=64, messages=asked) as stream:
                assert stream.get_final_message().stop_reason == "end_turn"


@pytest.mark.real("npm")
@pytest.mark.timeout(400)
@pytest.mark.parametrize("where", ["environment", "settings"])
def test_claude_code(proxy: Proxy, tmp_path: Path, where: str) -> None:
    """In its settings, as a start of the proxy writes them, the variable counts as in the environment."""
    claude, home = claude_code.installed(), tmp_path / "home"
    trust = variables(proxy.url) | {CA_VARIABLE: str(tmp_path / "tls.crt")}
    (home / ".claude").mkdir(parents=True)
    if where == "settings":
        (home / ".claude" / "settings.json").write_text(json.dumps({"env": trust}))
        trust = {}
    done = claude_code.say_hi(claude, home, **trust)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sandbox" in done.stdout.lower()
    assert proxy.rows.wait()[0].outcome == "complete"
