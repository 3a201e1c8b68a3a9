"""Files that change under a running proxy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from neurolink_mitm.sandbox import Account, Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.cli.processes import MESSAGE, ROOT, Shell, pool_of
from tests.cli.proxy.test_inspect import MITMDUMP
from tests.waiting import wait_until


def status(url: str) -> Any:
    return httpx.get(f"{url}/status").json()


def ask(url: str) -> httpx.Response:
    return httpx.post(f"{url}/v1/messages", json=MESSAGE, timeout=20)


def replaced(path: Path, text: str) -> None:
    """As editors do it."""
    path.with_name("new").write_text(text)
    path.with_name("new").rename(path)


@pytest.mark.parametrize("link", [False, True], ids=["file", "link"])
def test_a_change_takes_effect_and_is_told(shell: Shell, pool: Path, link: bool) -> None:
    """Outside the state directory, too."""
    there = pool.rename(shell.home / "there.yaml")
    asked = shell.home / "asked" / "link.yaml" if link else there
    if link:
        asked.parent.mkdir()
        asked.symlink_to(there)
    proxy, url = shell.serve("--config", str(asked))
    loaded_at = status(url)["config"]["loadedAt"]
    replaced(
        there,
        there.read_text()
        + "routing: {strategy: round-robin, fallback-chain: [{provider: openai, model: m}]}\n",
    )
    proxy.expect('configuration: routing.strategy: "fill-first" -> "round-robin"')
    assert [ask(url).headers["x-neurolink-account"] for _ in range(3)] == ["a", "b", "a"]
    report = status(url)
    assert report["strategy"] == "round-robin"
    assert report["config"]["loadedAt"] > loaded_at
    wait_until(lambda: "round-robin" in shell.state.read_text(), "the state file says so")
    kept = json.loads(shell.state.read_text())
    assert kept["fallbackChain"] == [{"provider": "openai", "model": "m"}]


def test_a_stream_under_way_ends_as_it_began(
    shell: Shell, pool: Path, upstream: SandboxServer, client: httpx.Client
) -> None:
    upstream.script("a", Reply(event_delay=0.1, events=15))
    proxy, url = shell.serve()
    with (
        SandboxServer([Account("b", "sk-ant-test-b")]) as other,
        client.stream("POST", f"{url}/v1/messages", json=MESSAGE) as stream,
    ):
        received = b""
        chunks = stream.iter_raw()
        while b"text_delta" not in received:
            received += next(chunks)
        pool.write_text(pool_of(other.url, "b"))
        proxy.expect("accounts.anthropic.a: removed")
        assert ask(url).headers["x-neurolink-account"] == "b"
        assert len(other.requests) == 1
        assert not upstream.requests[-1].done
        assert (received + b"".join(chunks)).endswith(b'data: {"type":"message_stop"}\n\n')


def test_a_bad_change_is_reported_and_changes_nothing(shell: Shell, pool: Path) -> None:
    proxy, url = shell.serve()
    good = pool.read_text()
    pool.write_text("timeouts: {idle: soon}\n")
    proxy.expect("not taken over, all stays as it was: timeouts.idle: must be a number")
    assert ask(url).status_code == 200
    [error] = status(url)["config"]["errors"]
    assert error.startswith("timeouts.idle: must be a number")
    pool.write_text(good)
    wait_until(lambda: status(url)["config"]["errors"] == [], "the error is gone")


def test_a_key_that_changes_in_the_env_file(
    shell: Shell, pool: Path, upstream: SandboxServer
) -> None:
    shell.variables.pop("KEY_a")
    shell.write(".env", "KEY_a=sk-ant-test-b\n")
    proxy, url = shell.serve()
    ask(url)
    shell.write(".env", "KEY_a=sk-ant-test-a\n")
    proxy.expect("changed in the env file: KEY_a\n")
    ask(url)
    assert [request.account for request in upstream.requests] == ["b", "a"]
    assert "sk-ant-test" not in proxy.complained


def test_a_plain_script_picks_it_up_too(shell: Shell, pool: Path) -> None:
    shell.variables["PYTHONUNBUFFERED"] = "1"
    script = str(ROOT / "addons" / "neurolink.py")
    mitmdump = shell.start("-s", script, "-p", "0", program=(MITMDUMP,))
    port = mitmdump.expect(r"listening at 127\.0\.0\.1:(\d+)")[1]
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: status(url)["strategy"] == "fill-first", "it serves")
    replaced(pool, pool.read_text() + "routing: {strategy: round-robin}\n")
    wait_until(lambda: status(url)["strategy"] == "round-robin", "it is picked up")


WORDS = (
    "cloaking: {mode: always, plugins: {wordObfuscator: {words: [bluebird]}, custom: [mine.py]}}\n"
)
PLUGIN = """
from dataclasses import replace


class Mine:
    def rewrite(self, draft):
        return replace(draft, fields=(*draft.fields, (b"x-mine", b"1")))
"""


def test_shaping_takes_effect_and_its_words_are_in_no_log(
    shell: Shell, pool: Path, upstream: SandboxServer
) -> None:
    proxy, url = shell.serve()
    (pool.parent / "mine.py").write_text(PLUGIN)
    replaced(pool, pool.read_text() + WORDS)
    proxy.expect("configuration: cloaking.plugins.wordObfuscator.words")
    messages = [{"role": "user", "content": "Where is bluebird?"}]
    httpx.post(f"{url}/v1/messages", json={**MESSAGE, "messages": messages}, timeout=20)
    [request] = upstream.requests
    assert b"bluebird" not in request.body
    assert request.header("x-mine") == "1"
    (pool.parent / "mine.py").write_text("1/0")
    replaced(pool, pool.read_text() + "routing: {strategy: round-robin}\n")
    proxy.expect(r"cloaking\.plugins\.custom\[0]: mine.py can't be loaded: ZeroDivisionError")
    httpx.post(f"{url}/v1/messages", json={**MESSAGE, "messages": messages}, timeout=20)
    assert upstream.requests[-1].header("x-mine") == "1"
    written = "".join(each.read_text() for each in shell.home.rglob("*.jsonl"))
    assert "bluebird" not in proxy.stdout.read_text() + proxy.stderr.read_text() + written


def test_a_service_which_is_quiet_tells_it_too(shell: Shell, pool: Path) -> None:
    proxy = shell.start("proxy", "start", "--quiet", "--port", "0")
    wait_until(lambda: shell.state.exists() or not proxy.runs, f"it serves: {proxy}")
    key = "sk-test-0123456789abcdef"
    replaced(pool, f"{pool.read_text()}providers: {{openai: {{apiKey: {key}}}}}\n")
    proxy.expect("configuration: providers")
    assert key not in proxy.said + proxy.complained
