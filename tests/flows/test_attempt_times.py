"""The times in rows of attempts, of a real proxy and an upstream with TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from neurolink_mitm.core.logs.rows import AttemptRow
from neurolink_mitm.core.settings.values import Config, Network
from neurolink_mitm.sandbox import Account as SandboxAccount
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.sandbox.wire import Tls
from tests.connect_proxy import Authority
from tests.flows.harness import CLAUDE_CODE, LIMIT, Proxy, account, message

HOST = "localhost"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secured(authority: Authority) -> Iterator[str]:
    tls = Tls(str(authority.certificate(HOST)))
    with SandboxServer([SandboxAccount("a", "sk-ant-test-a")], tls=tls) as server:
        yield f"https://{HOST}:{urlsplit(server.url).port}"


def rows_of(base_url: str, requests: int, trusted: Path | None = None) -> list[AttemptRow]:
    """The rows of attempts of so many requests, each of a new client."""
    config = Config(network=Network(warm=0))
    with Proxy([account("a", base_url)], config, trusted=trusted) as proxy:
        for _ in range(requests):
            httpx.post(f"{proxy.url}/v1/messages", json=message(), headers=CLAUDE_CODE,
                       timeout=LIMIT, trust_env=False)  # fmt: skip
        proxy.rows.wait(requests)
        return proxy.rows.attempts


def test_only_the_first_request_waits_for_a_connection(secured: str, authority: Authority) -> None:
    first, second = rows_of(secured, 2, authority.path)
    assert (first.reused, second.reused) == (False, True)
    assert first.connectMs > 0
    assert first.tlsMs > 0
    assert (second.connectMs, second.tlsMs) == (0, 0)
    for row in (first, second):
        assert row.waitMs
        assert row.durationMs
        assert row.connectMs + row.tlsMs + row.waitMs <= row.durationMs + 1  # clocks are rounded


def test_an_attempt_that_reaches_nobody_has_no_times() -> None:
    row, *_ = rows_of("http://127.0.0.1:1", 1)
    assert (row.connectMs, row.tlsMs, row.waitMs, row.reused) == (0, 0, None, False)
