from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from neurolink_mitm.sandbox import Account
from neurolink_mitm.sandbox.server import SandboxServer
from tests.cli.processes import Program, Shell, pool_of


@dataclass(frozen=True)
class Running:
    """A proxy on its sandbox that serves all tests of a module."""

    shell: Shell
    program: Program
    url: str


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Shell(tmp_path_factory.mktemp("running") / "shell") as shell:
        yield Running(shell, *shell.serve("--sandbox"))


@pytest.fixture
def upstream() -> Iterator[SandboxServer]:
    """With API-key accounts a and b."""
    with SandboxServer([Account("a", "sk-ant-test-a"), Account("b", "sk-ant-test-b")]) as server:
        yield server


@pytest.fixture
def pool(shell: Shell, upstream: SandboxServer) -> Path:
    """The shell's configuration: the accounts of the upstream."""
    keys = {f"KEY_{account.name}": account.credential for account in upstream.state.accounts}
    shell.variables.update(keys)
    return shell.write("proxy-config.yaml", pool_of(upstream.url, ("a", "b")))


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=20) as client:
        yield client
