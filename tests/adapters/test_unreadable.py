"""A file that is nested too deeply for any reader is as broken as any other: nobody ends in a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from neurolink_mitm.adapters.client_file import ClientFileError, read_clients
from neurolink_mitm.adapters.cost import read_day
from neurolink_mitm.adapters.persisted_state import read_cooldowns, read_quotas
from neurolink_mitm.adapters.state_file import StateFile
from neurolink_mitm.claude_code.status_line import read_json
from neurolink_mitm.core.auth.credentials import parse_token_store

DEEP = b'{"":' * 100_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "state.json"
    path.write_bytes(DEEP)
    return path


@pytest.mark.parametrize("read", [read_cooldowns, read_quotas, read_json], ids=lambda f: f.__name__)
def test_nothing_is_read_of_it(path: Path, read: Callable[[Path], object]) -> None:
    assert not read(path)


def test_no_proxy_is_seen(path: Path) -> None:
    assert StateFile(path).read() is None


def test_nothing_was_spent(path: Path) -> None:
    assert read_day(path).usd == 0


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (read_clients, ClientFileError),
        (lambda path: parse_token_store(path.read_bytes()), ValueError),
    ],
    ids=["clients", "logins"],
)
def test_who_can_not_do_without_says_so(
    path: Path, read: Callable[[Path], object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        read(path)
