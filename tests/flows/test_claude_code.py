"""Claude Code itself, from npm, through the proxy while the first account is limited."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from mitmproxy import http

from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.stack import stack
from tests.flows.harness import Proxy, account

CACHE = Path(__file__).parents[2] / ".cache" / "claude-code"
"""Kept between runs: it is 200 MB."""
BINARY = CACHE / "node_modules" / ".bin" / "claude"


@pytest.fixture(scope="session")
def claude() -> Path:
    """The command, installed once; the test is skipped only where npm or its registry is not there."""
    if not BINARY.exists():
        npm, node = shutil.which("npm"), shutil.which("node")
        if not npm or not node:
            pytest.skip("npm and node are not installed")
        CACHE.mkdir(parents=True, exist_ok=True)
        (CACHE / "package.json").write_text('{"private": true}')
        package = CACHE / "node_modules" / "@anthropic-ai" / "claude-code"
        try:
            run([npm, "install", "--no-audit", "--no-fund", "@anthropic-ai/claude-code"], 240)
            run([node, str(package / "install.cjs")], 120)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as e:
            pytest.skip(f"Claude Code can't be had from npm: {e}")
    return BINARY


def run(command: list[str], limit: float) -> None:
    subprocess.run(command, cwd=CACHE, check=True, capture_output=True, timeout=limit)


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
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "ANTHROPIC_BASE_URL": proxy.url,
        "ANTHROPIC_API_KEY": "sk-ant-test-dummy",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    done = subprocess.run(
        [claude, "-p", "say hi"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
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
