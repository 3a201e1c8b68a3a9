"""Requests that are made to hold up a real proxy, and what others feel of it meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from neurolink_mitm.sandbox.server import SandboxServer
from tests.cli.processes import Shell, pool_of
from tests.flows.harness import CLAUDE_CODE

HIDING = """cloaking:
  mode: always
  plugins:
    systemPromptInjector: {enabled: true, blocks: [rules]}
    wordObfuscator: {words: [bluebird], patterns: [%s], domains: [corp.example], detectors: [email, ipv4, ipv6, key]}
"""
ENDLESS = "'(a|aa)+$'"
SIZE = 1 << 20
PATIENCE = 60.0


def request(blocks: bytes) -> bytes:
    return (
        b'{"model":"claude-sonnet-4-5","max_tokens":5,"messages":[{"role":"assistant","content":[%s]},'
        b'{"role":"user","content":"hi"}]}' % blocks
    )


def text(unit: bytes) -> bytes:
    return request(b'{"type":"text","text":"%s"}' % (unit * (SIZE // len(unit))))


ATTACKS = {
    "spaces": request(b'{"type":"text","text":"\\"api_keys\\": [\\"%sx"}' % (b" " * 40_000)),
    "backslashes": text(b"\\\\"),
    "web tokens": text(b"-eyJ"),
    "private keys": text(b"-----BEGIN PRIVATE KEY-----"),
    "colons": text(b":" * 120 + b" "),
    "thinking": request(b",".join([b'{"type":"thinking","thinking":"","signature":""}'] * 20_000)),
    "ids": request(b",".join([b'{"type":"tool_use","id":"a.b","name":"x","input":{}}'] * 20_000)),
    "user id": b'{"model":"claude-sonnet-4-5","max_tokens":5,"messages":[{"role":"user","content":"hi"}],'
    b'"metadata":{"user_id":"{%s"}}' % (b'\\"' * (SIZE // 2)),
    "objects": request(b",".join([b"{}"] * (SIZE // 3))),
}


@contextmanager
def proxy(shell: Shell, sandbox: SandboxServer, patterns: str = "") -> Iterator[str]:
    shell.variables["KEY_a"] = "sk-ant-test-a"
    config = shell.write("proxy-config.yaml", pool_of(sandbox.url, ["a"]) + HIDING % patterns)
    _, url = shell.serve("--config", str(config))
    yield url


def post(url: str, body: bytes, timeout: float = PATIENCE) -> httpx.Response:
    headers = {**CLAUDE_CODE, "content-type": "application/json"}
    return httpx.post(f"{url}/v1/messages", content=body, headers=headers, timeout=timeout)


@pytest.mark.timeout(180)
def test_others_are_served_meanwhile(shell: Shell, sandbox: SandboxServer) -> None:
    """It stood for more than 25 seconds for one of them. On a machine that has time, all take some milliseconds."""
    waited: list[float] = []
    with proxy(shell, sandbox) as url:
        ended = threading.Event()

        def attack() -> None:
            try:
                for body in ATTACKS.values():
                    post(url, body)
                httpx.get(f"{url}/v1/{'-eyJ' * 10_000}", timeout=PATIENCE)
            finally:
                ended.set()

        threading.Thread(target=attack).start()
        while not ended.wait(0.01):
            began = time.monotonic()
            assert httpx.get(f"{url}/health", timeout=PATIENCE).status_code == 200
            waited.append(time.monotonic() - began)
    assert sorted(waited)[int(len(waited) * 0.9)] < 1
    assert max(waited) < 5


@pytest.mark.timeout(120)
def test_an_expression_that_takes_too_long_refuses_the_request(
    shell: Shell, sandbox: SandboxServer
) -> None:
    with proxy(shell, sandbox, ENDLESS) as url:
        answer = post(url, request(b'{"type":"text","text":"%sb"}' % (b"a" * 200)))
        error = answer.json()["error"]
        assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
        assert "patterns[0] takes too long" in error["message"]
        assert len(sandbox.requests) == 0
        assert post(url, request(b'{"type":"text","text":"b"}')).status_code == 200
