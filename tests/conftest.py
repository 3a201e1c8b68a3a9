"""What every test gets: an environment that holds nothing of the tester's."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.processes import Shell

_NUMBERS = itertools.count()
_FOREIGN = ("ANTHROPIC_", "CLAUDE_", "NEUROLINK_", "OPENAI_")


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def home(_homes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory of the test's own; no keys, no proxies, nobody's settings."""
    for name in os.environ:
        if name.startswith(_FOREIGN) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = _homes / str(next(_NUMBERS))
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NEUROLINK_HOME", str(home / ".neurolink"))
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(home / ".claude"))
    return home


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A place to run the command in, with a home of its own."""
    with Shell(tmp_path / "shell") as shell:
        yield shell
