"""What `routing.daily-cap-usd` lets through, by the real proxy."""

from __future__ import annotations

import httpx
import pytest

from neurolink_mitm.core.settings.values import Config, Routing
from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows.harness import CLAUDE_CODE, LIMIT, Proxy, account, message

CAPPED = Config(routing=Routing(daily_cap_usd=5.0))


@pytest.mark.parametrize(
    ("path", "config", "status"),
    [
        ("/v1/messages/batches", CAPPED, 400),
        ("/v1/complete", CAPPED, 400),
        ("/v1/chat/completions", CAPPED, 400),
        ("/v1/messages", CAPPED, 200),
        ("/v1/messages/count_tokens", CAPPED, 200),
        ("/v1/chat/completions", Config(), 200),
    ],
    ids=["batches", "complete", "openai", "messages", "counting", "no-cap"],
)
def test_only_what_is_counted_or_free(
    sandbox: SandboxServer, path: str, config: Config, status: int
) -> None:
    with Proxy([account("a", sandbox.url)], config) as proxy:
        answer = httpx.post(
            f"{proxy.url}{path}", json=message(stream=False), headers=CLAUDE_CODE, timeout=LIMIT
        )
    assert (answer.status_code, len(sandbox.requests)) == (status, status != 400)
    refused = "routing.daily-cap-usd" in answer.text and "/v1/messages" in answer.text
    assert refused == (status == 400)
