"""Claude Code itself, from npm, through the proxy while the first account is limited."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mitmproxy import http

from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.stack import stack
from tests import claude_code
from tests.flows.harness import Proxy, account


@pytest.fixture(scope="session")
def claude() -> Path:
    return claude_code.installed()


class Bodies:
    """Keeps what clients sent, as it came."""

    def __init__(self) -> None:
        self.seen: list[bytes | None] = []

    def request(self, flow: http.HTTPFlow) -> None:
        self.seen.append(flow.request.raw_content)


@pytest.fixture
def bodies() -> Bodies:
    return Bodies()


@pytest.fixture
def proxy(sandbox: SandboxServer, bodies: Bodies) -> Iterator[Proxy]:
    pool = [account("a", sandbox.url), account("b", sandbox.url)]
    with Proxy(pool, addons=lambda runtime: [bodies, *stack(runtime)]) as running:
        yield running


@pytest.mark.timeout(400)
def test_answers_through_a_failover(
    claude: Path, proxy: Proxy, sandbox: SandboxServer, bodies: Bodies, tmp_path: Path
) -> None:
    sandbox.script("a", Reply(429, headers={"retry-after": "60"}))
    done = claude_code.say_hi(claude, tmp_path, ANTHROPIC_BASE_URL=proxy.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sandbox" in done.stdout.lower()

    asked = [r for r in sandbox.requests if r.path.startswith("/v1/messages?")]
    assert [r.account for r in asked[:2]] == ["a", "b"]
    first, second = asked[:2]
    assert first.body == second.body
    assert first.body in bodies.seen
    assert json.loads(first.body)["stream"] is True
    assert len(first.body) > 50_000
    assert (first.header("user-agent") or "").startswith("claude-cli/")
    assert "dummy" not in str(first.headers)
    [row, *_] = proxy.rows.wait()
    assert (row.outcome, row.attempts, row.account) == ("complete", 2, "b")
    assert row.sessionId
    assert row.toolCount > 5
