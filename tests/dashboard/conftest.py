from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from neurolink_mitm.sandbox import Account
from neurolink_mitm.sandbox.server import SandboxServer
from tests.dashboard.harness import Served, served
from tests.flows.harness import Proxy, account

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def upstream() -> Iterator[SandboxServer]:
    """Upstream, with API-key accounts a and b, and the subscription o."""
    keys = [Account(name, f"sk-ant-test-{name}") for name in ("a", "b")]
    with SandboxServer([*keys, Account("o", "sk-ant-oat-test-o", "oauth")]) as server:
        yield server


@pytest.fixture
def dashboard(upstream: SandboxServer, tmp_path: Path) -> Iterator[Served]:
    """The dashboard of a proxy with accounts a and b."""
    accounts = [account("a", upstream.url), account("b", upstream.url)]
    with served(Proxy(accounts), tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, once for all tests; they ask for it by `@pytest.mark.real("browser")`."""
    from tests.dashboard.chromium import chromium

    with chromium() as running:
        yield running
