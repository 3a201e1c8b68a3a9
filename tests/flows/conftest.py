from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from neurolink_mitm.sandbox import Account
from neurolink_mitm.sandbox.server import SandboxServer
from tests.connect_proxy import Authority
from tests.flows.ahead import Ahead
from tests.flows.fallen import Setting
from tests.flows.harness import CLAUDE_CODE, LIMIT, Proxy, account
from tests.translator.running import Running
from tests.translator.scripted import ScriptedTranslator

NAMES = ("a", "b", "c")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the certificates of upstreams that speak TLS."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def certificate(authority: Authority) -> Path:
    return authority.certificate("localhost")


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """Upstream, with API-key accounts a, b, c and the subscription o."""
    keys = [Account(name, f"sk-ant-test-{name}") for name in NAMES]
    with SandboxServer([*keys, Account("o", "sk-ant-oat-test-o", "oauth")]) as server:
        yield server


@pytest.fixture
def proxy(sandbox: SandboxServer) -> Iterator[Proxy]:
    """The proxy with accounts a and b."""
    with Proxy([account("a", sandbox.url), account("b", sandbox.url)]) as running:
        yield running


@pytest.fixture
def client(proxy: Proxy) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=proxy.url, timeout=LIMIT, trust_env=False, headers=CLAUDE_CODE
    ) as client:
        yield client


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> Ahead:
    """Time that the test moves ahead."""
    return Ahead(monkeypatch)


@pytest.fixture
def silent_address() -> Iterator[str]:
    """An address that takes no connection and refuses none: its queue of one is full."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        host, port = listener.getsockname()
        for _ in range(4):  # Linux queues one more than it was told
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((host, port))
        yield f"http://{host}:{port}"


@pytest.fixture
def fallen(sandbox: SandboxServer) -> Iterator[Setting]:
    """With an engine of the tests' own in LiteLLM's place."""
    with ExitStack() as stack, ScriptedTranslator() as translator:
        yield Setting(sandbox, translator, stack)


@pytest.fixture
def through_litellm(sandbox: SandboxServer, translator: Running) -> Iterator[Setting]:
    with ExitStack() as stack:
        yield Setting(sandbox, translator, stack)
