"""Claude Code itself, from npm, while its only account is used up for longer than it waits by itself.

What it bears for minutes is measured by `tools/claude-hold`; docs/claude-code.md has the table.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from neurolink_mitm.core.settings.values import Config, Routing
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests import claude_cli as claude_code
from tests.flows.harness import Proxy, account
from tests.waiting import wait_until

pytestmark = pytest.mark.real("npm")


@pytest.mark.timeout(400)
def test_it_ends_with_the_answer(sandbox: SandboxServer, tmp_path: Path) -> None:
    claude = claude_code.installed()
    sandbox.script("a", Reply(429, headers={"retry-after": "360"}), Reply())
    config = Config(routing=Routing(hold=900))
    done: list[CompletedProcess[str]] = []
    with Proxy([account("a", sandbox.url)], config=config) as proxy:
        url = proxy.url

        def ask() -> None:
            done.append(claude_code.say_hi(claude, tmp_path, ANTHROPIC_BASE_URL=url))

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        wait_until(lambda: proxy.runtime.waiting.held, "it is held")
        proxy.loop.call_soon_threadsafe(proxy.runtime.pool.reset, "anthropic:a")
        asking.join(120)
        [row, *_] = proxy.rows.wait()
    [ended] = done
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "sandbox" in ended.stdout.lower()
    assert (row.outcome, row.attempts, row.heldMs > 0) == ("complete", 2, True)
    first, second = [r for r in sandbox.requests if r.path.startswith("/v1/messages?")][:2]
    assert (first.status, second.status) == (429, 200)
    assert json.loads(first.body) == json.loads(second.body)
