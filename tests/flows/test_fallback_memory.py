"""What the fallback costs in memory: the proxy stays small, whatever its translator needs, and that not too much."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from neurolink_mitm.sandbox import Reply
from tests.anthropic_stream import validate
from tests.flows.fallen import LIMITED
from tests.flows.live import live
from tests.lookalikes.openai_chat import OpenAIChat
from tests.waiting import wait_until

MEGABYTE = 1_000_000
LARGEST = 140 * MEGABYTE
TRANSLATOR = 240 * MEGABYTE
REQUESTS = 100
"""By the account, and as many by the fallback."""


@pytest.mark.real("litellm")
@pytest.mark.timeout(300)
def test_the_proxy_stays_small_with_a_translator_beside_it(tmp_path: Path) -> None:
    with OpenAIChat() as openai, live(tmp_path, OPENAI_API_KEY="test-key") as machine:
        machine.keep_key()
        machine.configure(
            "routing: {fallback-chain: [{provider: openai, model: gpt-5}]}\n"
            f"providers: {{openai: {{baseUrl: '{openai.url}/v1'}}}}"
        )
        proxy = machine.serve()
        wait_until(lambda: machine.report()["translator"]["state"] == "ready", "it is ready", 60)
        fallen = {}
        for name, reply in {"key": Reply(), "openai/gpt-5": LIMITED}.items():
            machine.upstream.script("key", reply)
            for _ in range(REQUESTS):
                answer = machine.ask(system="x" * 100_000)
                assert answer.status_code == 200, answer.text
                validate(answer.content)
            fallen[name] = answer.headers["x-neurolink-account"]
        assert list(fallen) == list(fallen.values())
        used = psutil.Process(proxy.pid).memory_info().rss
        beside = machine.report()["translator"]["rss"]
        print(f"proxy {used // MEGABYTE} MB, translator {beside // MEGABYTE} MB")
        assert used < LARGEST
        assert beside < TRANSLATOR
        assert {
            p.pid for p in psutil.Process(proxy.pid).children() if "translator" in str(p.cmdline())
        } == {machine.report()["translator"]["pid"]}
