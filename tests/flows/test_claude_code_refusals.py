"""What Claude Code makes of our own answers: it gives up at once and shows the text, or waits where that helps.

docs/claude-code.md has the table that was measured so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.core.auth.client_keys import ClientKey, digest
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Clients, Config
from neurolink_mitm.ports import Runtime
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests import claude_cli as claude_code
from tests.flows.harness import Proxy, account

pytestmark = pytest.mark.real("npm")


@pytest.fixture(scope="session")
def claude() -> Path:
    return claude_code.installed()


def keyed(runtime: Runtime) -> None:
    runtime.config = Config(clients=Clients(api_keys=(Secret("nl-test-other"),)))


def limited(**limits: Any) -> Callable[[Runtime], None]:
    """The key that Claude Code shows here belongs to bob."""

    def change(runtime: Runtime) -> None:
        runtime.clients = (ClientKey("bob", digest("sk-ant-test-dummy"), 0.0, **limits),)

    return change


def as_it_is(runtime: Runtime) -> None: ...


@dataclass(frozen=True)
class Case:
    """A proxy that refuses Claude Code, and the words that its user is to read."""

    shown: str
    accounts: tuple[dict[str, Any], ...] = ({},)
    change: Callable[[Runtime], None] = as_it_is
    host: str = "127.0.0.1"
    arguments: tuple[str, ...] = ()
    script: tuple[Reply, ...] = field(default=(Reply(),))

    def pool(self, url: str) -> list[Account]:
        return [account("a", url, **fields) for fields in self.accounts]


USED_UP = Reply(
    429,
    headers={
        "retry-after": "7500",
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-5h-status": "rejected",
        "anthropic-ratelimit-unified-5h-utilization": "1.0",
        "anthropic-ratelimit-unified-5h-reset": f"{time.time() + 7500:.0f}",
    },
)

CASES = {
    "client key": Case("invalid client key", change=keyed),
    "no account": Case("neurolink auth login anthropic", accounts=()),
    "other host": Case("is no address of this proxy", host="0.0.0.0"),  # noqa: S104 - a Host
    "nobody serves": Case(" a: not enabled", ({"enabled": False},)),
    "login ended": Case("neurolink auth login anthropic", ({"disabled": "needs login: x"},)),
    "unknown model": Case("issue with the selected model (gpt-9)", arguments=("--model", "gpt-9")),
    "over its cap": Case(
        "API Error: Request rejected (429) · spend limit reached — the client 'bob' has used",
        change=limited(daily_cap_usd=0.0),
    ),
    "another's model": Case(
        "issue with the selected model (claude-opus-4-6). It may not exist or you may not have",
        change=limited(models=("claude-haiku-*",)),
        arguments=("--model", "claude-opus-4-6"),
    ),
    "all cooling": Case(
        "All accounts are cooling; the first is back at ",
        script=(Reply(429, headers={"retry-after": "90"}),),
    ),
    "all used up": Case(
        ", when the 5-hour window of a resets. a: 5-hour window used up until ",
        script=(USED_UP,),
    ),
}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", CASES)
def test_the_user_reads_why_within_seconds(
    claude: Path, sandbox: SandboxServer, tmp_path: Path, name: str
) -> None:
    """Ten repetitions would take three minutes: `say` gives up after two."""
    case = CASES[name]
    sandbox.script("a", *case.script)
    with Proxy(case.pool(sandbox.url), change=case.change) as proxy:
        url = proxy.url.replace("127.0.0.1", case.host)
        done = claude_code.say(claude, tmp_path, "say hi", *case.arguments, ANTHROPIC_BASE_URL=url)
        asked = [row for row in proxy.rows.wait() if row.path.startswith("/v1/messages")]
    assert case.shown in done.stdout
    assert len(asked) <= 2
