"""NEUROLINK_TOKEN_STORE=keyring: commands and a proxy that runs, with a keyring that needs no desktop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurolink_mitm.adapters.token_backend import SERVICE
from tests.filed_keyring import FILE, FiledKeyring
from tests.flows.live import KEY, Live, live
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    return tmp_path / "keyring.json"


@pytest.fixture
def machine(tmp_path: Path, ring: Path) -> Iterator[Live]:
    variables = {
        "NEUROLINK_TOKEN_STORE": "keyring",
        "PYTHON_KEYRING_BACKEND": f"{FiledKeyring.__module__}.{FiledKeyring.__name__}",
        FILE: str(ring),
    }
    with live(tmp_path / "live", **variables) as machine:
        yield machine
    assert not machine.home.tokens.exists()
    files = [path for path in machine.shell.place.rglob("*") if path.is_file()]
    assert [path for path in files if b"sk-ant-o" in path.read_bytes()] == []


def kept(ring: Path, machine: Live) -> dict[str, str]:
    """The access tokens in the keyring, by label."""
    document = json.loads(json.loads(ring.read_text())[f"{SERVICE} {machine.home.root}"])
    return {
        key.partition(":")[2]: entry["tokens"]["accessToken"]
        for key, entry in document["providers"].items()
    }


def test_commands_use_the_keyring(machine: Live, ring: Path) -> None:
    machine.login("--label", "work")
    before = kept(ring, machine)
    assert "1 account: 1 ready" in machine.run("auth", "status")
    assert "work: refreshed" in machine.run("auth", "refresh", "anthropic", "work")
    after = kept(ring, machine)
    assert before.keys() == after.keys() == {"work"}
    assert before != after
    machine.run("auth", "disable", "work")
    assert "disabled: by hand" in machine.run("auth", "list")
    machine.run("auth", "logout", "work", "--force")
    assert kept(ring, machine) == {}


def test_a_proxy_serves_from_it_and_sees_it_change(machine: Live, ring: Path) -> None:
    machine.shell.variables["ANTHROPIC_API_KEY"] = KEY
    machine.serve()
    assert machine.served_by() == "env"
    machine.login("--label", "work")
    machine.until(served_by="work")
    before = kept(ring, machine)
    machine.upstream.expire("plan")
    assert machine.served_by() == "work"
    assert kept(ring, machine) != before
    machine.run("auth", "disable", "work")
    wait_until(lambda: machine.reason("work") == "disabled: by hand", "it is disabled")
    machine.run("auth", "logout", "work", "--force")
    wait_until(lambda: machine.account("work") is None, "it is gone")  # until then nobody serves
    assert machine.served_by() == "env"


def test_purge_leaves_nothing_in_it(machine: Live, ring: Path) -> None:
    machine.login("--label", "work")
    machine.run("auth", "refresh", "anthropic", "work")
    machine.run("proxy", "uninstall", "--purge", "--yes")
    assert json.loads(ring.read_text()) == {}
    assert not machine.home.root.exists()
