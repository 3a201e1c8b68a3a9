"""A file of ours that can't be read: nobody ends in a traceback, and nobody waits for a pipe."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from neurolink_mitm.adapters.client_file import ClientFileError, read_clients
from neurolink_mitm.adapters.cost import peek_day, read_day
from neurolink_mitm.adapters.files import LARGEST
from neurolink_mitm.adapters.persisted_state import read_cooldowns, read_quotas
from neurolink_mitm.adapters.state_file import StateFile
from neurolink_mitm.claude_code.choices import read_choices
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


@pytest.fixture(params=["pipe", "folder", "too large"])
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "odd.json"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "folder":
        path.mkdir()
    else:
        path.touch()
        os.truncate(path, LARGEST + 1)
    return path


@pytest.mark.parametrize(
    "read", [read_cooldowns, read_quotas, lambda path: StateFile(path).read(), peek_day]
)
def test_what_is_no_file_of_ours_is_as_none(odd: Path, read: Callable[[Path], object]) -> None:
    assert not read(odd)


@pytest.mark.parametrize("read", [read_clients, read_choices])
def test_what_is_no_file_of_ours_is_an_error(odd: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises((ValueError, OSError)):
        read(odd)


def test_what_was_spent_is_an_error_until_it_can_be_read(tmp_path: Path) -> None:
    """An empty sum would be written in its place."""
    with pytest.raises(OSError, match="directory"):
        read_day(tmp_path)
