from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from neurolink_mitm.adapters.client_file import (
    ClientFileError,
    add_client,
    change_client,
    read_clients,
    revoke_client,
)
from tests.fakes import NOW


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "clients.json"


def test_a_key_is_shown_once_and_hashed(path: Path) -> None:
    key = add_client(path, "laptop", NOW)
    [client] = read_clients(path)
    assert (client.name, client.created_at) == ("laptop", NOW)
    assert client.matches(key)
    assert key not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_each_client_has_another(path: Path) -> None:
    assert add_client(path, "a", NOW) != add_client(path, "b", NOW)
    assert [client.name for client in read_clients(path)] == ["a", "b"]


def test_a_name_is_given_once(path: Path) -> None:
    add_client(path, "a", NOW)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="there is a client 'a' already"):
        add_client(path, "a", NOW)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 65])
def test_a_name_can_be_read_by_people(path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        add_client(path, name, NOW)
    assert not path.exists()


def test_a_revoked_one_is_gone(path: Path) -> None:
    add_client(path, "a", NOW)
    add_client(path, "b", NOW)
    assert revoke_client(path, "a")
    assert not revoke_client(path, "a")
    assert [client.name for client in read_clients(path)] == ["b"]


def test_limits_change_and_the_key_stays(path: Path) -> None:
    key = add_client(path, "a", NOW, rate=5, models=("x-*",))
    add_client(path, "b", NOW)
    changed = change_client(path, "a", rate=None, daily_cap_usd=2.0)
    [client, other] = read_clients(path)
    assert client == changed
    assert client.matches(key)
    assert (client.rate, client.daily_cap_usd, client.models) == (None, 2.0, ("x-*",))
    assert other.daily_cap_usd is None
    assert change_client(path, "c", rate=1) is None


def test_two_at_once_lose_none(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: add_client(path, f"c{n}", NOW), range(16)))
    assert len(read_clients(path)) == 16


def test_a_broken_file_is_named_and_set_aside_by_a_change_only(path: Path) -> None:
    path.write_text("{")
    with pytest.raises(ClientFileError, match=f"{path}: is broken"):
        read_clients(path)
    assert path.exists()
    with pytest.raises(ClientFileError):
        add_client(path, "a", NOW)
    [aside] = path.parent.glob("clients.json.corrupt-*")
    assert aside.read_text() == "{"
    add_client(path, "a", NOW)
